#include "core/nn/float_encoder_decoder.h"

#include <utility>

#include "core/base/status_macros.h"
#include "core/nn/float_encoder.h"
#include "core/nn/gather_rows.h"

namespace contexture::nn {
namespace {

EncoderConfig DecoderConfigOf(EncoderConfig config) {
  config.vocabulary_size = config.decoder.vocabulary_size;
  config.attention.causal = true;
  return config;
}

// What the target's embedding is made of.
EncoderWeights TargetEmbedding(const EncoderWeights& weights) {
  EncoderWeights target;
  target.token_embedding = weights.decoder.token_embedding;
  target.position_embedding = weights.position_embedding;
  return target;
}

}  // namespace

FloatEncoderDecoder::FloatEncoderDecoder(const EncoderConfig& config, const EncoderWeights& weights,
                                         std::unique_ptr<Encoder> encoder, Isa isa)
    : config_(DecoderConfigOf(config)),
      kernels_(kernels::GetVectorKernels(isa)),
      encoder_(std::move(encoder)),
      embedding_(config_, TargetEmbedding(weights), kernels_),
      final_norm_(weights.decoder.final_norm, config.norm_weight_offset) {}

absl::StatusOr<std::unique_ptr<Encoder>> FloatEncoderDecoder::Create(const EncoderConfig& config,
                                                                     const EncoderWeights& weights,
                                                                     kernels::LinearBackend backend,
                                                                     Isa isa) {
  CTX_ASSIGN_OR_RETURN(auto encoder, FloatEncoder::Create(config, weights, backend, isa));
  std::unique_ptr<FloatEncoderDecoder> model(
      new FloatEncoderDecoder(config, weights, std::move(encoder), isa));
  const LayerContext context = {.config = model->config_,
                                .positions = model->embedding_.positions(),
                                .relative_bias = nullptr,
                                .disentangled = nullptr,
                                .window = 0,
                                .backend = backend,
                                .isa = isa};
  for (const DecoderLayerWeights& layer_weights : weights.decoder.layers) {
    CTX_ASSIGN_OR_RETURN(auto layer, FloatDecoderLayer::Create(context, layer_weights));
    model->layers_.push_back(std::move(layer));
  }
  return model;
}

std::unique_ptr<Workspace> FloatEncoderDecoder::NewWorkspace(int max_tokens) const {
  return std::make_unique<FloatWorkspace>(config_, max_tokens);
}

void FloatEncoderDecoder::Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                              Workspace& workspace) const {
  auto& own = static_cast<FloatWorkspace&>(workspace);
  PackedBatch source = batch;
  source.target_ids = source.target_offsets = {};
  encoder_->Run(source, {}, own);
  std::swap(own.hidden, own.memory);
  const PackedBatch target = {.ids = batch.target_ids, .offsets = batch.target_offsets};
  {
    const PartTimer timer(own.profile, Part::kEmbedding);
    embedding_.Run(target, own.hidden.data());
  }
  for (const auto& layer : layers_) layer->Run(target, source, own);
  float* hidden = own.hidden.data();
  if (!rows.empty()) GatherRows(rows, config_.hidden_size, hidden);
  if (!config_.decoder.final_norm) return;
  Normalise(kernels_, config_, final_norm_,
            {.input = hidden,
             .output = hidden,
             .rows = rows.empty() ? target.num_tokens() : static_cast<int>(rows.size())});
}

size_t FloatEncoderDecoder::weight_bytes() const {
  size_t bytes = encoder_->weight_bytes() + embedding_.weight_bytes();
  for (const auto& layer : layers_) bytes += layer->weight_bytes();
  return bytes;
}

}  // namespace contexture::nn
