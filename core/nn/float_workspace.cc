#include "core/nn/float_workspace.h"

#include <algorithm>

#include "core/kernels/vector_kernels.h"

namespace contexture::nn {
namespace {

// Multiples of the 6 rows that the products like best. 126 rows of 1536 floats, 756 KiB, stay in an
// L2 cache of 1 MiB; wider ones would not, and gain 2 % when twice as many rows share a pass over
// the weights.
constexpr int kBlockRows = 126;
constexpr size_t kCachedBytes = size_t{1} << 20;

int BlockRowsFor(size_t width) {
  return kBlockRows * width * sizeof(float) <= kCachedBytes ? kBlockRows : 2 * kBlockRows;
}

}  // namespace

FloatWorkspace::FloatWorkspace(const EncoderConfig& config, int tokens) {
  max_tokens = tokens;
  const size_t rows = tokens;
  const size_t query = config.attention.query_size(), key = config.attention.key_size();
  const size_t inner = config.feed_forward.intermediate_size;
  const size_t width = config.feed_forward.gated ? 2 * inner : inner;
  block_rows = BlockRowsFor(width);
  max_block_rows = block_rows + block_rows / 4;
  if (config.embedding.projection) embedded = AlignedBuffer<float>(rows * config.embedding.size);
  hidden = AlignedBuffer<float>(rows * config.hidden_size);
  query_key_value = AlignedBuffer<float>(rows * (query + 2 * key));
  context = AlignedBuffer<float>(rows * query);
  projected = AlignedBuffer<float>(rows * config.hidden_size);
  intermediate =
      AlignedBuffer<float>(static_cast<size_t>(std::min(tokens, max_block_rows)) * width);
  attention_scratch = AlignedBuffer<float>(kernels::AttentionScratchFloats(
      tokens, config.attention.head_size, config.attention.disentangled.num_rows));
  if (config.convolution.size > 0) {
    convolved = AlignedBuffer<float>(rows * config.hidden_size);
    windows = AlignedBuffer<float>(static_cast<size_t>(std::min(tokens, max_block_rows)) *
                                   config.convolution.size * config.hidden_size);
  }
  if (config.decoder.num_layers == 0) return;
  memory = AlignedBuffer<float>(rows * config.hidden_size);
  memory_key_value = AlignedBuffer<float>(rows * 2 * query);
}

size_t FloatWorkspace::bytes() const {
  return Workspace::bytes() + embedded.bytes() + query_key_value.bytes() + context.bytes() +
         projected.bytes() + intermediate.bytes() + attention_scratch.bytes() + convolved.bytes() +
         windows.bytes() + memory.bytes() + memory_key_value.bytes();
}

}  // namespace contexture::nn
