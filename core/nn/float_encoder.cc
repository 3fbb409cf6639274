#include "core/nn/float_encoder.h"

#include <utility>

#include "core/base/status_macros.h"

namespace contexture::nn {

FloatEncoder::FloatEncoder(const EncoderConfig& config, const EncoderWeights& weights, Isa isa)
    : config_(config),
      kernels_(kernels::GetVectorKernels(isa)),
      embedding_(config, weights, kernels_),
      final_norm_(weights.final_norm) {}

absl::StatusOr<std::unique_ptr<Encoder>> FloatEncoder::Create(const EncoderConfig& config,
                                                              const EncoderWeights& weights,
                                                              kernels::LinearBackend backend,
                                                              Isa isa) {
  std::unique_ptr<FloatEncoder> encoder(new FloatEncoder(config, weights, isa));
  const FloatLayer::Context context = {config, encoder->embedding_.positions(), isa};
  for (const LayerWeights& layer_weights : weights.layers) {
    CTX_ASSIGN_OR_RETURN(auto layer, FloatLayer::Create(context, layer_weights, backend));
    encoder->layers_.push_back(std::move(layer));
  }
  return encoder;
}

std::unique_ptr<Workspace> FloatEncoder::NewWorkspace(int max_tokens) const {
  return std::make_unique<FloatWorkspace>(config_, max_tokens);
}

void FloatEncoder::Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                       Workspace& workspace) const {
  auto& own = static_cast<FloatWorkspace&>(workspace);
  {
    const PartTimer timer(own.profile, Part::kEmbedding);
    embedding_.Run(batch, own.hidden.data());
  }
  if (own.observer != nullptr) {
    embedding_.Show(batch, *own.observer);
    own.observer->OnEmbedding(EmbeddingStep::kOutput, own.hidden.data());
  }
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (own.observer != nullptr) own.observer->BeginLayer(static_cast<int>(i));
    const bool last = i + 1 == layers_.size();
    layers_[i]->Run(batch, last ? rows : absl::Span<const uint32_t>(), own);
  }
  if (!config_.final_norm) return;
  float* hidden = workspace.hidden.data();
  kernels_.norm({hidden, nullptr, nullptr, final_norm_.gamma.data(), final_norm_.beta.data(),
                 hidden, rows.empty() ? batch.num_tokens() : static_cast<int>(rows.size()),
                 config_.hidden_size, config_.norm_epsilon});
}

size_t FloatEncoder::weight_bytes() const {
  size_t bytes = embedding_.weight_bytes();
  for (const auto& layer : layers_) bytes += layer->weight_bytes();
  return bytes;
}

}  // namespace contexture::nn
