#include <algorithm>

#include "core/nn/mixed_layer.h"

namespace contexture::nn {

using kernels::mixed::Format;

MixedWorkspace::MixedWorkspace(const EncoderConfig& config, Format format, int tokens) {
  max_tokens = tokens;
  const size_t rows = tokens + kernels::mixed::kSpareRows;
  const int size = config.hidden_size;
  const int attention = config.attention.num_heads * config.attention.head_size;
  const int chunk = std::min(kIntermediateChunk, config.feed_forward.intermediate_size);
  hidden_stride = RowStride(format, size);
  attention_stride = RowStride(format, attention);
  chunk_stride = RowStride(format, chunk);
  qkv_stride = 3 * attention;
  hidden = AlignedBuffer<float>(rows * size);
  input = AlignedBuffer<uint16_t>(rows * hidden_stride);
  context = AlignedBuffer<uint16_t>(rows * attention_stride);
  intermediate = AlignedBuffer<uint16_t>(rows * chunk_stride);
  projected = AlignedBuffer<float>(rows * size);
  const int head_size = config.attention.head_size;
  if (format != Format::kBf16) context_float = AlignedBuffer<float>(rows * attention);
  if (AttendsInBf16(format)) {
    qkv = AlignedBuffer<uint16_t>(rows * qkv_stride);
    attention_scratch =
        AlignedBuffer<char>(kernels::mixed::AttentionScratchBytes(tokens, head_size));
  } else {
    qkv_float = AlignedBuffer<float>(rows * qkv_stride);
    attention_scratch =
        AlignedBuffer<char>(kernels::AttentionScratchFloats(tokens, head_size) * sizeof(float));
  }
}

size_t MixedWorkspace::bytes() const {
  return Workspace::bytes() + input.bytes() + qkv.bytes() + qkv_float.bytes() +
         context_float.bytes() + context.bytes() + intermediate.bytes() + projected.bytes() +
         attention_scratch.bytes();
}

}  // namespace contexture::nn
