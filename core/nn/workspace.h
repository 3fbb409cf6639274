#pragma once

#include <cstddef>

#include "core/base/aligned_buffer.h"
#include "core/model/encoder_config.h"

namespace contexture::nn {

// The activations of one worker for a group of up to `max_tokens` tokens, allocated once. Not
// thread safe.
struct Workspace {
  Workspace(const EncoderConfig& config, int max_tokens);

  size_t bytes() const {
    return hidden.bytes() + query_key_value.bytes() + context.bytes() + projected.bytes() +
           intermediate.bytes() + attention_scratch.bytes() + pooled.bytes();
  }

  int max_tokens;
  AlignedBuffer<float> hidden;           // [tokens, hidden]: the residual stream
  AlignedBuffer<float> query_key_value;  // [tokens, 3 * heads * head_size]
  AlignedBuffer<float> context;          // [tokens, heads * head_size]
  AlignedBuffer<float> projected;     // [tokens, hidden]: a sublayer's output, or its normed input
  AlignedBuffer<float> intermediate;  // [kBlockRows, intermediate]
  AlignedBuffer<float> attention_scratch;
  AlignedBuffer<float> pooled;  // [hidden]
};

// Rows that go through a whole feed-forward before the next rows do, so that the intermediate
// activations stay in the L2 cache (128 x 1536 floats are 768 KiB).
inline constexpr int kBlockRows = 128;

}  // namespace contexture::nn
