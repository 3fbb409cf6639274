#include "core/nn/float_encoder.h"

#include <utility>

#include "core/base/status_macros.h"
#include "core/nn/gather_rows.h"
#include "core/nn/kernel_types.h"
#include "core/nn/share.h"

namespace contexture::nn {

FloatEncoder::FloatEncoder(const EncoderConfig& config, const EncoderWeights& weights,
                           const Backend& backend)
    : config_(config),
      backend_(backend),
      kernels_(kernels::GetVectorKernels(backend.isa)),
      embedding_(config, weights, kernels_),
      local_positions_(MakeLocalPositionalEncoding(config)),
      final_norm_(weights.final_norm, config.norm_weight_offset) {
  if (weights.relative_bias.present()) {
    relative_bias_ = std::make_unique<RelativeBias>(config, weights.relative_bias);
  }
  if (weights.relative_embedding.present()) {
    disentangled_ = std::make_unique<DisentangledPositions>(config, weights, kernels_);
  }
}

absl::StatusOr<std::unique_ptr<Encoder>> FloatEncoder::Create(const EncoderConfig& config,
                                                              const EncoderWeights& weights,
                                                              kernels::LinearBackend backend,
                                                              Isa isa) {
  std::unique_ptr<FloatEncoder> encoder(new FloatEncoder(config, weights, {backend, isa}));
  CTX_RETURN_IF_ERROR(encoder->Init(weights));
  return encoder;
}

absl::Status FloatEncoder::Init(const EncoderWeights& weights) {
  if (config_.embedding.projection) {
    CTX_ASSIGN_OR_RETURN(projection_, MakeFloatLinear(Context(0),
                                                      {config_.embedding.size, config_.hidden_size,
                                                       kernels::Epilogue::kBias},
                                                      {ToPart(weights.embedding_projection)}));
  }
  if (config_.convolution.size > 0) {
    CTX_ASSIGN_OR_RETURN(convolution_, Convolution::Create(Context(0), weights));
  }
  for (const LayerWeights& layer_weights : weights.layers) {
    CTX_ASSIGN_OR_RETURN(
        auto layer, FloatLayer::Create(Context(static_cast<int>(layers_.size())), layer_weights));
    layers_.push_back(std::move(layer));
  }
  return absl::OkStatus();
}

LayerContext FloatEncoder::Context(int layer) const {
  const int window = config_.attention.LayerWindow(layer);
  const bool local = window != 0 && local_positions_ != nullptr;
  return {.config = config_,
          .positions = local ? *local_positions_ : embedding_.positions(),
          .relative_bias = relative_bias_.get(),
          .disentangled = disentangled_.get(),
          .window = window,
          .backend = backend_.linear,
          .isa = backend_.isa};
}

std::unique_ptr<Workspace> FloatEncoder::NewWorkspace(int max_tokens) const {
  return std::make_unique<FloatWorkspace>(config_, max_tokens);
}

void FloatEncoder::Embed(const PackedBatch& batch, FloatWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kEmbedding);
  if (projection_ == nullptr) return embedding_.Run(batch, workspace.hidden.data());
  embedding_.Run(batch, workspace.embedded.data());
  ShareLinear(workspace, *projection_, workspace.embedded.data(), batch.num_tokens(),
              workspace.hidden.data());
}

void FloatEncoder::Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                       Workspace& workspace) const {
  auto& own = static_cast<FloatWorkspace&>(workspace);
  Embed(batch, own);
  if (own.observer != nullptr) {
    embedding_.Show(batch, *own.observer);
    own.observer->OnEmbedding(EmbeddingStep::kOutput, own.hidden.data());
  }
  const int layers_per_weights = config_.num_layers / config_.num_layer_weights;
  const bool all = own.layers == Workspace::kAllLayers;
  const int layers = all ? config_.num_layers : own.layers;
  if (layers == 0 && !rows.empty()) GatherRows(rows, config_.hidden_size, own.hidden.data());
  if (layers > 0 && convolution_ != nullptr) convolution_->Run(batch, own);
  for (int i = 0; i < layers; ++i) {
    if (own.tap != nullptr) own.tap->OnLayers(i, own.hidden.data());
    if (own.observer != nullptr) own.observer->BeginLayer(i);
    const auto wanted = i + 1 == layers ? rows : absl::Span<const uint32_t>();
    layers_[i / layers_per_weights]->Run(batch, wanted, own);
    if (i == 0 && convolution_ != nullptr) convolution_->Add(batch, wanted, own);
    if (own.observer != nullptr) own.observer->OnLayerOutput(own.hidden.data());
  }
  if (!all || !config_.final_norm) return;
  float* hidden = workspace.hidden.data();
  Normalise(kernels_, config_, final_norm_,
            {.input = hidden,
             .output = hidden,
             .rows = rows.empty() ? batch.num_tokens() : static_cast<int>(rows.size())});
}

size_t FloatEncoder::weight_bytes() const {
  size_t bytes = embedding_.weight_bytes();
  if (projection_ != nullptr) bytes += projection_->weight_bytes();
  if (local_positions_ != nullptr) bytes += local_positions_->bytes();
  if (relative_bias_ != nullptr) bytes += relative_bias_->bytes();
  if (disentangled_ != nullptr) bytes += disentangled_->bytes();
  if (convolution_ != nullptr) bytes += convolution_->weight_bytes();
  for (const auto& layer : layers_) bytes += layer->weight_bytes();
  return bytes;
}

}  // namespace contexture::nn
