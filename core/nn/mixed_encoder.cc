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

const char* Needs(mixed::Format format) {
  switch (format) {
    case mixed::Format::kBf16:
      return "AVX-512 BF16";
    case mixed::Format::kSplit:
      return "AMX";
    case mixed::Format::kInt8:
      return "AVX-512 VNNI";
  }
  return "?";
}

// What BERT lacks and the model has; null: nothing.
const char* OtherPart(const EncoderConfig& config) {
  const AttentionConfig& attention = config.attention;
  if (config.decoder.num_layers != 0) return "a decoder";
  if (config.norm_kind != NormKind::kLayer) return "norms without the mean";
  if (config.feed_forward.gated) return "a gated feed-forward";
  if (attention.num_key_value_heads != attention.num_heads) return "keys shared between heads";
  if (attention.query_key_norm) return "norms of queries and keys";
  if (attention.window != 0) return "attention within a window";
  if (attention.relative_bias.num_buckets != 0) return "scores with a bias by distance";
  if (config.embedding.projection) return "a projection of the embedding";
  if (config.num_layer_weights != config.num_layers) return "layers that share weights";
  return nullptr;
}

}  // namespace

absl::Status MixedEncoder::Check(const EncoderConfig& config, mixed::Format format) {
  if (mixed::GetKernels(format) == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("this precision needs ", Needs(format),
                                                      ", the CPU grants ", Name(DetectIsa())));
  }
  const AttentionConfig& attention = config.attention;
  CTX_RETURN_IF_ERROR(CheckMultiple("hidden_size", config.hidden_size));
  CTX_RETURN_IF_ERROR(
      CheckMultiple("the intermediate size", config.feed_forward.intermediate_size));
  CTX_RETURN_IF_ERROR(
      CheckMultiple("heads times head size", attention.num_heads * attention.head_size));
  if (AttendsInBf16(format) && !mixed::SupportsHeadSize(attention.head_size)) {
    return absl::FailedPreconditionError(
        absl::StrCat("attention in this precision takes heads of 32 or 64, the model's have ",
                     attention.head_size));
  }
  if (attention.causal || config.norm_placement != NormPlacement::kPost || config.final_norm) {
    return absl::FailedPreconditionError(
        "this precision computes bidirectional post-norm encoders without a final norm only");
  }
  if (const char* part = OtherPart(config); part != nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("this precision does not compute ", part, ", which the model has"));
  }
  const PositionKind kind = config.position.kind;
  if (kind == PositionKind::kRotary || kind == PositionKind::kAlibi) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this precision computes positions in the embedding only, the model's are ",
        kind == PositionKind::kRotary ? "rotary" : "alibi", ", which act in attention"));
  }
  return absl::OkStatus();
}

MixedEncoder::MixedEncoder(const EncoderConfig& config, const EncoderWeights& weights,
                           mixed::Format format, const ActivationRanges& ranges)
    : config_(config),
      format_(format),
      kernels_(*mixed::GetKernels(format)),
      embedding_(config, weights, kernels::GetVectorKernels(DetectIsa())) {
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerRanges* own = ranges.empty() ? nullptr : &ranges[i];
    layers_.push_back(std::make_unique<MixedLayer>(config, weights.layers[i], format, own));
  }
}

absl::StatusOr<std::unique_ptr<Encoder>> MixedEncoder::Create(const EncoderConfig& config,
                                                              const EncoderWeights& weights,
                                                              mixed::Format format,
                                                              const ActivationRanges& ranges) {
  CTX_RETURN_IF_ERROR(Check(config, format));
  return std::unique_ptr<Encoder>(new MixedEncoder(config, weights, format, ranges));
}

std::unique_ptr<Workspace> MixedEncoder::NewWorkspace(int max_tokens) const {
  return std::make_unique<MixedWorkspace>(config_, format_, max_tokens);
}

void MixedEncoder::Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                       Workspace& workspace) const {
  auto& own = static_cast<MixedWorkspace&>(workspace);
  Embed(batch, own);
  kernels_.acquire_tiles();
  for (size_t i = 0; i + 1 < layers_.size(); ++i) {
    layers_[i]->Run(batch, {{}, layers_[i + 1]->input_factors()}, own);
  }
  layers_.back()->Run(batch, {rows, nullptr}, own);
  kernels_.release_tiles();
}

void MixedEncoder::Embed(const PackedBatch& batch, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kEmbedding);
  const int size = config_.hidden_size;
  embedding_.Run(batch, workspace.hidden.data());
  kernels_.convert(format_, {.input = workspace.hidden.data(),
                             .input_stride = size,
                             .output = workspace.input.data(),
                             .stride = workspace.hidden_stride,
                             .low_offset = mixed::LowOffset(format_, size),
                             .rows = batch.num_tokens(),
                             .columns = size,
                             .factors = layers_.front()->input_factors()});
}

size_t MixedEncoder::weight_bytes() const {
  size_t bytes = embedding_.weight_bytes();
  for (const auto& layer : layers_) bytes += layer->weight_bytes();
  return bytes;
}

}  // namespace contexture::nn
