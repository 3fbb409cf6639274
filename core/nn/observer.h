#pragma once

#include "core/kernels/vector_kernels.h"

namespace contexture::nn {

// The steps from token ids to the input of the first layer, each [tokens, hidden].
enum class EmbeddingStep {
  kTokens,     // rows of the table
  kScaled,     // the rows times EncoderConfig::embedding_scale
  kPositions,  // what positions add: zeros where a scheme acts elsewhere
  kSum,        // scaled rows, types and positions, added
  kOutput,     // the sum, normed where the model does
};

// Is shown the intermediate results of the computation itself, while it runs over a batch of one
// sequence. What it is given is valid during the call only. Called from the computing thread.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnEmbedding(EmbeddingStep step, const float* rows) = 0;
  // What follows is of layer LAYER.
  virtual void BeginLayer(int layer) = 0;
  // What the projections of queries, keys and values take, [tokens, hidden].
  virtual void OnAttentionInput(const float* /*input*/) {}
  // After the attention of head HEAD: queries and keys are rotated, the context is written.
  virtual void OnAttention(int head, const kernels::AttentionArgs& args) = 0;
  // Rows [first, first + rows) after attention, its residual, and the norm of post-norm.
  virtual void OnAttentionOutput(int first, int rows, const float* hidden) = 0;
  // What rows [first, first + rows) of the feed-forward take.
  virtual void OnFeedForwardInput(int /*first*/, int /*rows*/, const float* /*input*/) {}
  // All rows after the feed-forward, its residual and norm.
  virtual void OnLayerOutput(const float* hidden) = 0;
};

}  // namespace contexture::nn
