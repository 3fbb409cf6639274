#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/aligned_buffer.h"
#include "core/kernels/mixed_kernels.h"
#include "core/model/encoder_config.h"
#include "core/nn/encoder.h"

namespace contexture::nn {

// Columns of the intermediate activations that are computed and used up together.
inline constexpr int kIntermediateChunk = kernels::mixed::kMaxQuantizedColumns;
// Rows that go through the linear layers together, so that memory does not grow with the length of
// a sequence where it need not. Tiles end with a block.
inline constexpr int kMixedBlockRows = 256;
static_assert(kMixedBlockRows % kernels::mixed::kSpareRows == 0);
// The same where several threads share a batch: all intermediate activations of a block are kept.
inline constexpr int kSharedBlockRows = 128;

// Whether attention runs in bfloat16: not with kSplit, and only where the CPU multiplies it and the
// kernels take the heads and have no relative positions to attend to. Else it runs in float.
bool AttendsInBf16(const EncoderConfig& config, kernels::mixed::Format format);

// Activations of a mixed-precision encoder. Matrices have kSpareRows more rows than tokens (or than
// a block), since tiles are whole.
struct MixedWorkspace : Workspace {
  MixedWorkspace(const EncoderConfig& config, kernels::mixed::Format format, int max_tokens);
  size_t bytes() const override;

  size_t shared_chunk_stride() const {  // elements between chunks of `intermediate`
    return static_cast<size_t>(std::min(max_tokens, kSharedBlockRows) +
                               kernels::mixed::kSpareRows) *
           chunk_stride;
  }

  // Elements between rows.
  int hidden_stride, attention_stride, chunk_stride, qkv_stride, projected_stride, embedded_stride;
  AlignedBuffer<uint16_t> input;         // [tokens, hidden]: what the next linear layer takes
  AlignedBuffer<uint16_t> qkv;           // attention in bfloat16: [tokens, queries, keys, values]
  AlignedBuffer<float> qkv_float;        // attention in float: the same
  AlignedBuffer<float> heads;            // [block, head_size]: before they are normed and rotated
  AlignedBuffer<float> context_float;    // [tokens, query_size]; empty where `context` is written
  AlignedBuffer<uint16_t> context;       // [tokens, query_size]
  AlignedBuffer<uint16_t> intermediate;  // [block, chunk]; shared: [chunks, shared block, chunk]
  AlignedBuffer<float> projected;        // [block, hidden]: what a sublayer returns
  AlignedBuffer<char> attention_scratch;
  // Of a model with a projection of the embedding.
  AlignedBuffer<float> embedded;           // [tokens, embedding]
  AlignedBuffer<uint16_t> embedded_input;  // [block, embedding]
};

}  // namespace contexture::nn
