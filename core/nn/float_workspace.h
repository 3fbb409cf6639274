#pragma once

#include <cstddef>

#include "core/base/aligned_buffer.h"
#include "core/model/encoder_config.h"
#include "core/nn/encoder.h"

namespace contexture::nn {

struct FloatWorkspace : Workspace {
  FloatWorkspace(const EncoderConfig& config, int max_tokens);
  size_t bytes() const override;

  AlignedBuffer<float> embedded;         // [tokens, embedding]; empty without a projection
  AlignedBuffer<float> query_key_value;  // [tokens, query_size + 2 * key_size]
  AlignedBuffer<float> context;          // [tokens, query_size]
  AlignedBuffer<float> projected;     // [tokens, hidden]: a sublayer's output, or its normed input
  AlignedBuffer<float> intermediate;  // [kBlockRows, intermediate], twice as wide when gated
  AlignedBuffer<float> attention_scratch;
  AlignedBuffer<float> convolved;  // [tokens, hidden]; of a model with a convolution
  AlignedBuffer<float> windows;    // [kBlockRows, size * hidden]; likewise
  // Of a model with a decoder.
  AlignedBuffer<float> memory;            // [tokens, hidden]: the encoder's output
  AlignedBuffer<float> memory_key_value;  // [tokens, 2 * query_size]
};

// Rows that go through a whole feed-forward before the next rows do, so that the intermediate
// activations stay in the L2 cache (128 x 1536 floats are 768 KiB).
inline constexpr int kBlockRows = 128;

}  // namespace contexture::nn
