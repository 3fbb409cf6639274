#include "core/nn/mixed_layer.h"

#include <algorithm>

#include "core/nn/gather_rows.h"
#include "core/nn/kernel_types.h"

namespace contexture::nn {

namespace mixed = kernels::mixed;
using mixed::Format;

MixedLayer::MixedLayer(const EncoderConfig& config, const LayerWeights& weights, Format format)
    : config_(config),
      format_(format),
      kernels_(*mixed::GetKernels(format)),
      float_kernels_(kernels::GetVectorKernels(DetectIsa())),
      attention_norm_(weights.attention_norm),
      output_norm_(weights.output_norm),
      query_key_value_(format, {ToPart(weights.query), ToPart(weights.key), ToPart(weights.value)}),
      attention_output_(format, {ToPart(weights.attention_output)}),
      up_(format, {ToPart(weights.up)}),
      down_(format, {ToPart(weights.down)}) {}

size_t MixedLayer::weight_bytes() const {
  return query_key_value_.weight_bytes() + attention_output_.weight_bytes() + up_.weight_bytes() +
         down_.weight_bytes();
}

void MixedLayer::Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                     MixedWorkspace& workspace) const {
  int tokens = batch.num_tokens();
  ProjectQueryKeyValue(tokens, workspace);
  AttendAll(batch, workspace);
  if (!rows.empty()) {
    tokens = static_cast<int>(rows.size());
    GatherRows(rows, config_.hidden_size, workspace.hidden.data());
    GatherRows(rows, workspace.attention_stride, workspace.context.data());
  }
  ProjectContext(tokens, workspace);
  AddNorm(attention_output_, attention_norm_, tokens, workspace);
  FeedForward(tokens, workspace);
  AddNorm(down_, output_norm_, tokens, workspace);
}

void MixedLayer::AttendAll(const PackedBatch& batch, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kAttention);
  for (int i = 0; i < batch.num_sequences(); ++i) {
    const int first = static_cast<int>(batch.offsets[i]);
    if (format_ == Format::kBf16) {
      AttendSequence(first, batch.length(i), workspace);
    } else {
      AttendSplit(first, batch.length(i), workspace);
    }
  }
}

void MixedLayer::ProjectContext(int tokens, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kAttentionOutput);
  mixed::GemmArgs gemm = attention_output_.Columns(0, config_.hidden_size);
  gemm.input = workspace.context.data();
  gemm.input_stride = workspace.attention_stride;
  gemm.low_offset = attention_size();
  gemm.rows = tokens;
  kernels_.gemm_float(format_, gemm,
                      {workspace.projected.data(), config_.hidden_size, nullptr, false});
}

void MixedLayer::ProjectQueryKeyValue(int tokens, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kQueryKeyValue);
  mixed::GemmArgs gemm = query_key_value_.Columns(0, 3 * attention_size());
  gemm.input = workspace.input.data();
  gemm.input_stride = workspace.hidden_stride;
  gemm.low_offset = config_.hidden_size;
  gemm.rows = tokens;
  if (format_ == Format::kBf16) {
    kernels_.gemm_activation(format_, gemm,
                             {workspace.qkv.data(), workspace.qkv_stride, 0,
                              query_key_value_.bias(), kernels::Epilogue::kBias});
  } else {
    kernels_.gemm_float(
        format_, gemm,
        {workspace.qkv_float.data(), workspace.qkv_stride, query_key_value_.bias(), false});
  }
}

void MixedLayer::AttendSequence(int first, int length, MixedWorkspace& workspace) const {
  const uint16_t* query = workspace.qkv.data() + static_cast<size_t>(first) * workspace.qkv_stride;
  kernels_.attention({.query = query,
                      .key = query + attention_size(),
                      .value = query + 2 * attention_size(),
                      .context = workspace.context.data() +
                                 static_cast<size_t>(first) * workspace.attention_stride,
                      .length = length,
                      .heads = config_.attention.num_heads,
                      .head_size = config_.attention.head_size,
                      .stride = workspace.qkv_stride,
                      .context_stride = workspace.attention_stride,
                      .scale = config_.attention.scale,
                      .scratch = workspace.attention_scratch.data()});
}

void MixedLayer::AttendSplit(int first, int length, MixedWorkspace& workspace) const {
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
  uint16_t* activations =
      workspace.context.data() + static_cast<size_t>(first) * workspace.attention_stride;
  kernels_.convert(format_,
                   {context, size, activations, workspace.attention_stride, size, length, size});
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
  up.low_offset = config_.hidden_size;
  up.rows = tokens;
  kernels_.gemm_activation(
      format_, up,
      {workspace.intermediate.data(), workspace.chunk_stride, columns, up_.bias() + first,
       ActivationEpilogue(config_.feed_forward.activation)});
}

void MixedLayer::FeedForwardDown(int tokens, int first, int columns,
                                 MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kFeedForwardDown);
  mixed::GemmArgs down = down_.Depth(first, columns);
  down.input = workspace.intermediate.data();
  down.input_stride = workspace.chunk_stride;
  down.low_offset = columns;
  down.rows = tokens;
  kernels_.gemm_float(format_, down,
                      {workspace.projected.data(), config_.hidden_size, nullptr, first != 0});
}

void MixedLayer::AddNorm(const mixed::MixedLinear& linear, const Norm& norm, int tokens,
                         MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kNorm);
  float* hidden = workspace.hidden.data();
  kernels_.norm(format_,
                {{workspace.projected.data(), linear.bias(), hidden, norm.gamma.data(),
                  norm.beta.data(), hidden, tokens, config_.hidden_size, config_.norm_epsilon},
                 workspace.input.data(),
                 workspace.hidden_stride,
                 config_.hidden_size});
}

}  // namespace contexture::nn
