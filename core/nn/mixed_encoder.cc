#include "core/nn/mixed_encoder.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace contexture::nn {

namespace mixed = kernels::mixed;

namespace {

absl::Status CheckMultiple(const char* what, int value) {
  if (value % mixed::kDepth == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "this precision needs ", what, " to be a multiple of ", mixed::kDepth, ", it is ", value));
}

absl::Status Check(const EncoderConfig& config, mixed::Format format) {
  if (mixed::GetKernels(format) == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this precision needs ", format == mixed::Format::kBf16 ? "AVX-512 BF16" : "AMX",
        ", the CPU grants ", Name(DetectIsa())));
  }
  const AttentionConfig& attention = config.attention;
  CTX_RETURN_IF_ERROR(CheckMultiple("hidden_size", config.hidden_size));
  CTX_RETURN_IF_ERROR(
      CheckMultiple("the intermediate size", config.feed_forward.intermediate_size));
  CTX_RETURN_IF_ERROR(
      CheckMultiple("heads times head size", attention.num_heads * attention.head_size));
  if (format == mixed::Format::kBf16 && !mixed::SupportsHeadSize(attention.head_size)) {
    return absl::FailedPreconditionError(
        absl::StrCat("attention in this precision takes heads of 32 or 64, the model's have ",
                     attention.head_size));
  }
  if (attention.causal || config.norm_placement != NormPlacement::kPost || config.final_norm) {
    return absl::FailedPreconditionError(
        "this precision computes bidirectional post-norm encoders without a final norm only");
  }
  const PositionKind kind = config.position.kind;
  if (kind == PositionKind::kRotary || kind == PositionKind::kAlibi) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this precision computes positions in the embedding only, the model's are ",
        kind == PositionKind::kRotary ? "rotary" : "alibi", ", which act in attention"));
  }
  return absl::OkStatus();
}

}  // namespace

MixedEncoder::MixedEncoder(const EncoderConfig& config, const EncoderWeights& weights,
                           mixed::Format format)
    : config_(config),
      format_(format),
      kernels_(*mixed::GetKernels(format)),
      embedding_(config, weights, kernels::GetVectorKernels(DetectIsa())) {
  for (const LayerWeights& layer : weights.layers) {
    layers_.push_back(std::make_unique<MixedLayer>(config, layer, format));
  }
}

absl::StatusOr<std::unique_ptr<Encoder>> MixedEncoder::Create(const EncoderConfig& config,
                                                              const EncoderWeights& weights,
                                                              mixed::Format format) {
  CTX_RETURN_IF_ERROR(Check(config, format));
  return std::unique_ptr<Encoder>(new MixedEncoder(config, weights, format));
}

std::unique_ptr<Workspace> MixedEncoder::NewWorkspace(int max_tokens) const {
  return std::make_unique<MixedWorkspace>(config_, format_, max_tokens);
}

void MixedEncoder::Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                       Workspace& workspace) const {
  auto& own = static_cast<MixedWorkspace&>(workspace);
  Embed(batch, own);
  kernels_.acquire_tiles();
  for (const auto& layer : layers_) {
    const bool last = layer == layers_.back();
    layer->Run(batch, last ? rows : absl::Span<const uint32_t>(), own);
  }
  kernels_.release_tiles();
}

void MixedEncoder::Embed(const PackedBatch& batch, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kEmbedding);
  const int size = config_.hidden_size;
  embedding_.Run(batch, workspace.hidden.data());
  kernels_.convert(format_, {workspace.hidden.data(), size, workspace.input.data(),
                             workspace.hidden_stride, size, batch.num_tokens(), size});
}

size_t MixedEncoder::weight_bytes() const {
  size_t bytes = embedding_.weight_bytes();
  for (const auto& layer : layers_) bytes += layer->weight_bytes();
  return bytes;
}

}  // namespace contexture::nn
