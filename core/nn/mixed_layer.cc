#include "core/nn/mixed_layer.h"

#include <algorithm>
#include <vector>

#include "core/nn/gather_rows.h"
#include "core/nn/kernel_types.h"

namespace contexture::nn {

namespace mixed = kernels::mixed;
using mixed::Format;

namespace {

absl::Span<const float> RangesOf(const LayerRanges* ranges, std::vector<float> LayerRanges::*part) {
  return ranges == nullptr ? absl::Span<const float>() : ranges->*part;
}

}  // namespace

bool AttendsInBf16(Format format) {
  return format != Format::kSplit && mixed::GetKernels(format)->attention != nullptr;
}

MixedLayer::MixedLayer(const EncoderConfig& config, const LayerWeights& weights, Format format,
                       const LayerRanges* ranges)
    : config_(config),
      format_(format),
      kernels_(*mixed::GetKernels(format)),
      float_kernels_(kernels::GetVectorKernels(DetectIsa())),
      attention_norm_(weights.attention_norm),
      output_norm_(weights.output_norm),
      query_key_value_(format, {ToPart(weights.query), ToPart(weights.key), ToPart(weights.value)},
                       {RangesOf(ranges, &LayerRanges::input)}),
      attention_output_(format, {ToPart(weights.attention_output)},
                        {RangesOf(ranges, &LayerRanges::context)}),
      up_(format, {ToPart(weights.up)}, {RangesOf(ranges, &LayerRanges::attention_output)}),
      down_(format, {ToPart(weights.down)}, {{}, kIntermediateChunk}) {}

size_t MixedLayer::weight_bytes() const {
  return query_key_value_.weight_bytes() + attention_output_.weight_bytes() + up_.weight_bytes() +
         down_.weight_bytes();
}

void MixedLayer::Run(const PackedBatch& batch, const Request& request,
                     MixedWorkspace& workspace) const {
  int tokens = batch.num_tokens();
  ProjectQueryKeyValue(tokens, workspace);
  AttendAll(batch, workspace);
  if (!request.rows.empty()) {
    tokens = static_cast<int>(request.rows.size());
    GatherRows(request.rows, config_.hidden_size, workspace.hidden.data());
    GatherRows(request.rows, workspace.attention_stride, workspace.context.data());
  }
  ProjectContext(tokens, workspace);
  AddNorm({attention_output_, attention_norm_, up_.input_factors()}, tokens, workspace);
  FeedForward(tokens, workspace);
  AddNorm({down_, output_norm_, request.factors}, tokens, workspace);
}

void MixedLayer::AttendAll(const PackedBatch& batch, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kAttention);
  const bool bf16 = AttendsInBf16(format_);
  for (int i = 0; i < batch.num_sequences(); ++i) {
    const int first = static_cast<int>(batch.offsets[i]);
    if (bf16) {
      AttendSequence(first, batch.length(i), workspace);
    } else {
      AttendFloat(first, batch.length(i), workspace);
    }
  }
  if (format_ != Format::kBf16) ConvertContext(batch.num_tokens(), workspace);
}

void MixedLayer::ConvertContext(int tokens, MixedWorkspace& workspace) const {
  const int size = attention_size();
  kernels_.convert(format_, {.input = workspace.context_float.data(),
                             .input_stride = size,
                             .output = workspace.context.data(),
                             .stride = workspace.attention_stride,
                             .low_offset = low_offset(size),
                             .rows = tokens,
                             .columns = size,
                             .factors = attention_output_.input_factors()});
}

void MixedLayer::ProjectContext(int tokens, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kAttentionOutput);
  mixed::GemmArgs gemm = attention_output_.Columns(0, config_.hidden_size);
  gemm.input = workspace.context.data();
  gemm.input_stride = workspace.attention_stride;
  gemm.low_offset = low_offset(attention_size());
  gemm.rows = tokens;
  kernels_.gemm_float(format_, gemm,
                      {workspace.projected.data(), config_.hidden_size, nullptr, false});
}

void MixedLayer::ProjectQueryKeyValue(int tokens, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kQueryKeyValue);
  mixed::GemmArgs gemm = query_key_value_.Columns(0, 3 * attention_size());
  gemm.input = workspace.input.data();
  gemm.input_stride = workspace.hidden_stride;
  gemm.low_offset = low_offset(config_.hidden_size);
  gemm.rows = tokens;
  if (AttendsInBf16(format_)) {
    kernels_.gemm_activation(format_, gemm,
                             {workspace.qkv.data(), workspace.qkv_stride, 0,
                              query_key_value_.bias(), kernels::Epilogue::kBias, Format::kBf16});
  } else {
    kernels_.gemm_float(
        format_, gemm,
        {workspace.qkv_float.data(), workspace.qkv_stride, query_key_value_.bias(), false});
  }
}

void MixedLayer::AttendSequence(int first, int length, MixedWorkspace& workspace) const {
  const uint16_t* query = workspace.qkv.data() + static_cast<size_t>(first) * workspace.qkv_stride;
  const bool narrow = format_ == Format::kBf16;
  const int context_stride = narrow ? workspace.attention_stride : attention_size();
  const size_t context = static_cast<size_t>(first) * context_stride;
  kernels_.attention(
      {.query = query,
       .key = query + attention_size(),
       .value = query + 2 * attention_size(),
       .context = narrow ? workspace.context.data() + context : nullptr,
       .length = length,
       .heads = config_.attention.num_heads,
       .head_size = config_.attention.head_size,
       .stride = workspace.qkv_stride,
       .context_stride = context_stride,
       .scale = config_.attention.scale,
       .scratch = workspace.attention_scratch.data(),
       .float_context = narrow ? nullptr : workspace.context_float.data() + context});
}

void MixedLayer::AttendFloat(int first, int length, MixedWorkspace& workspace) const {
  const AttentionConfig& attention = config_.attention;
  const int size = attention_size();
  const float* query =
      workspace.qkv_float.data() + static_cast<size_t>(first) * workspace.qkv_stride;
  float* context = workspace.context_float.data() + static_cast<size_t>(first) * size;
  for (int head = 0; head < attention.num_heads; ++head) {
    const int at = head * attention.head_size;
    float_kernels_.attention(
        {.query = query + at,
         .key = query + size + at,
         .value = query + 2 * size + at,
         .context = context + at,
         .query_length = length,
         .key_length = length,
         .head_size = attention.head_size,
         .stride = workspace.qkv_stride,
         .context_stride = size,
         .scale = attention.scale,
         .causal = false,
         .scratch = reinterpret_cast<float*>(workspace.attention_scratch.data())});
  }
}

// The intermediate activations are made and used up in chunks of columns, so that they stay in the
// cache; the output's sums run over the chunks in order.
void MixedLayer::FeedForward(int tokens, MixedWorkspace& workspace) const {
  for (int first = 0; first < config_.feed_forward.intermediate_size; first += kIntermediateChunk) {
    const int columns =
        std::min(kIntermediateChunk, config_.feed_forward.intermediate_size - first);
    FeedForwardUp(tokens, first, columns, workspace);
    FeedForwardDown(tokens, first, columns, workspace);
  }
}

void MixedLayer::FeedForwardUp(int tokens, int first, int columns,
                               MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kFeedForwardUp);
  mixed::GemmArgs up = up_.Columns(first, columns);
  up.input = workspace.input.data();
  up.input_stride = workspace.hidden_stride;
  up.low_offset = low_offset(config_.hidden_size);
  up.rows = tokens;
  kernels_.gemm_activation(format_, up,
                           {.output = workspace.intermediate.data(),
                            .stride = workspace.chunk_stride,
                            .low_offset = low_offset(columns),
                            .bias = up_.bias() + first,
                            .epilogue = ActivationEpilogue(config_.feed_forward.activation),
                            .format = format_});
}

void MixedLayer::FeedForwardDown(int tokens, int first, int columns,
                                 MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kFeedForwardDown);
  mixed::GemmArgs down = down_.Depth(first, columns);
  down.input = workspace.intermediate.data();
  down.input_stride = workspace.chunk_stride;
  down.low_offset = low_offset(columns);
  down.rows = tokens;
  kernels_.gemm_float(format_, down,
                      {workspace.projected.data(), config_.hidden_size, nullptr, first != 0});
}

void MixedLayer::AddNorm(const NormStep& step, int tokens, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kNorm);
  float* hidden = workspace.hidden.data();
  kernels_.norm(format_, {.norm = {workspace.projected.data(), step.linear.bias(), hidden,
                                   step.norm.gamma.data(), step.norm.beta.data(), hidden, tokens,
                                   config_.hidden_size, config_.norm_epsilon},
                          .activations = workspace.input.data(),
                          .stride = workspace.hidden_stride,
                          .low_offset = low_offset(config_.hidden_size),
                          .factors = step.factors});
}

}  // namespace contexture::nn
