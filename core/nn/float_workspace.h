#pragma once

#include <cstddef>

#include "core/base/aligned_buffer.h"
#include "core/model/encoder_config.h"
#include "core/nn/encoder.h"

namespace contexture::nn {

struct FloatWorkspace : Workspace {
  FloatWorkspace(const EncoderConfig& config, int max_tokens);
  size_t bytes() const override;

  // Of LEFT rows, those that go through a whole feed-forward before the next rows do, so that the
  // intermediate activations stay in the cache. At most max_block_rows: a short rest joins the
  // block before it, for each block reads all the weights. A convolution takes the same blocks.
  int BlockRows(int left) const { return left <= max_block_rows ? left : block_rows; }
  int block_rows = 0, max_block_rows = 0;

  // Calls body(first, rows) for the blocks of COUNT rows, in order.
  template <typename Body>
  void ForEachBlock(int count, const Body& body) const {
    for (int first = 0; first < count;) {
      const int rows = BlockRows(count - first);
      body(first, rows);
      first += rows;
    }
  }

  AlignedBuffer<float> embedded;         // [tokens, embedding]; empty without a projection
  AlignedBuffer<float> query_key_value;  // [tokens, query_size + 2 * key_size]
  AlignedBuffer<float> context;          // [tokens, query_size]
  AlignedBuffer<float> projected;     // [tokens, hidden]: a sublayer's output, or its normed input
  AlignedBuffer<float> intermediate;  // [max_block_rows, intermediate], twice as wide when gated
  AlignedBuffer<float> attention_scratch;
  AlignedBuffer<float> convolved;  // [tokens, hidden]; of a model with a convolution
  AlignedBuffer<float> windows;    // [max_block_rows, size * hidden]; likewise
  // Of a model with a decoder.
  AlignedBuffer<float> memory;            // [tokens, hidden]: the encoder's output
  AlignedBuffer<float> memory_key_value;  // [tokens, 2 * query_size]
};

}  // namespace contexture::nn
