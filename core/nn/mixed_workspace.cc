#include "core/nn/mixed_workspace.h"

#include <algorithm>

#include "core/kernels/vector_kernels.h"

namespace contexture::nn {

using kernels::mixed::Format;
using kernels::mixed::RoundUpToPanel;

bool AttendsInBf16(const EncoderConfig& config, Format format) {
  return format != Format::kSplit && config.attention.disentangled.num_rows == 0 &&
         kernels::mixed::GetKernels(format)->attention != nullptr &&
         kernels::mixed::SupportsHeadSize(config.attention.head_size);
}

MixedWorkspace::MixedWorkspace(const EncoderConfig& config, Format format, int tokens) {
  max_tokens = tokens;
  const size_t rows = tokens + kernels::mixed::kSpareRows;
  const size_t block = std::min(tokens, kMixedBlockRows) + kernels::mixed::kSpareRows;
  const int size = config.hidden_size, head_size = config.attention.head_size;
  const int queries = config.attention.query_size();
  hidden_stride = RowStride(format, size);
  attention_stride = RowStride(format, queries);
  chunk_stride =
      RowStride(format, std::min(kIntermediateChunk, config.feed_forward.intermediate_size));
  qkv_stride = RoundUpToPanel(queries + 2 * config.attention.key_size());
  projected_stride = RoundUpToPanel(size);
  embedded_stride = RowStride(format, config.embedding.size);
  hidden = AlignedBuffer<float>(rows * size);
  input = AlignedBuffer<uint16_t>(rows * hidden_stride);
  context = AlignedBuffer<uint16_t>(rows * attention_stride);
  const int inner = config.feed_forward.intermediate_size;
  const int chunks = (inner + kIntermediateChunk - 1) / kIntermediateChunk;
  intermediate =
      AlignedBuffer<uint16_t>(std::max(block * chunk_stride, chunks * shared_chunk_stride()));
  projected = AlignedBuffer<float>(block * projected_stride);
  const bool bf16 = AttendsInBf16(config, format);
  if (!bf16 || format != Format::kBf16) context_float = AlignedBuffer<float>(rows * queries);
  if (bf16) {
    qkv = AlignedBuffer<uint16_t>(rows * qkv_stride);
    heads = AlignedBuffer<float>(block * head_size);
    attention_scratch =
        AlignedBuffer<char>(kernels::mixed::AttentionScratchBytes(tokens, head_size));
  } else {
    qkv_float = AlignedBuffer<float>(rows * qkv_stride);
    attention_scratch = AlignedBuffer<char>(
        kernels::AttentionScratchFloats(tokens, head_size, config.attention.disentangled.num_rows) *
        sizeof(float));
  }
  if (!config.embedding.projection) return;
  embedded = AlignedBuffer<float>(rows * config.embedding.size);
  embedded_input = AlignedBuffer<uint16_t>(block * embedded_stride);
}

size_t MixedWorkspace::bytes() const {
  return Workspace::bytes() + input.bytes() + qkv.bytes() + qkv_float.bytes() + heads.bytes() +
         context_float.bytes() + context.bytes() + intermediate.bytes() + projected.bytes() +
         attention_scratch.bytes() + embedded.bytes() + embedded_input.bytes();
}

}  // namespace contexture::nn
