#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"

namespace contexture::nn {

// The projected queries and keys of one sequence, all heads side by side.
struct QueryKeyRows {
  float* query;  // [length, num_heads * head_size] at `stride`
  float* key;    // [length, num_key_heads * head_size] at `stride`
  int length;
  int num_heads;
  int head_size;
  int stride;             // floats between rows
  int num_key_heads = 0;  // 0: num_heads
};

// The scaled scores of one sequence and head before the softmax.
struct ScoreRows {
  float* scores;  // [length, length]
  int length;
  int head;
};

// How a model is told the order of its tokens. A scheme acts in any of three places and does
// nothing in the others. Token i of a sequence stands at position i; callers keep sequences within
// EncoderConfig::max_length. Immutable, thread safe.
class PositionalEncoding {
 public:
  virtual ~PositionalEncoding() = default;

  // embeddings [length, hidden_size] += the vectors of positions 0 .. length - 1.
  virtual void AddToEmbeddings(float* /*embeddings*/, int /*length*/) const {}
  // The same with token i at positions[i], at most EncoderConfig::max_given_position(): of schemes
  // that take positions.
  virtual void AddAtPositions(absl::Span<const uint32_t> /*positions*/,
                              float* /*embeddings*/) const {}
  // Turns queries and keys by their positions.
  virtual void RotateQueryKey(const QueryKeyRows& /*rows*/) const {}
  // scores[i][j] += the bias of query i and key j.
  virtual void BiasScores(const ScoreRows& /*rows*/) const {}

  // What a fast path reads once, so that it need not call the above for each token.
  // The vectors of AddToEmbeddings, [positions, hidden_size]; null: they are no table.
  virtual const float* table() const { return nullptr; }
  // What RotateQueryKey turns by, [positions, head_size] as kernels::RotateArgs; null: it does
  // nothing.
  virtual const float* turns() const { return nullptr; }
  // By head, s with bias -s |i - j|: what BiasScores adds, for kernels::AttentionArgs. Empty: none.
  virtual absl::Span<const float> slopes() const { return {}; }

  // The scheme as people look at it: row i is what position i (or distance i) brings.
  // columns() says how wide it is: hidden_size, unless the scheme's header says otherwise.
  virtual int columns() const = 0;
  // Writes matrix [length, columns()]; LENGTH is at most EncoderConfig::max_length, or
  // max_given_position() + 1 where that is more.
  virtual void WriteMatrix(int length, float* matrix) const = 0;

  virtual size_t bytes() const { return 0; }
};

// The scheme of CONFIG.position; copies what it needs of WEIGHTS.
std::unique_ptr<PositionalEncoding> MakePositionalEncoding(const EncoderConfig& config,
                                                           const EncoderWeights& weights);
// That of the layers with a window; null: it is the same.
std::unique_ptr<PositionalEncoding> MakeLocalPositionalEncoding(const EncoderConfig& config);

}  // namespace contexture::nn
