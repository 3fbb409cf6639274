#pragma once

#include <memory>

#include "absl/status/status.h"
#include "core/kernels/linear.h"
#include "core/nn/float_parts.h"
#include "core/nn/float_workspace.h"
#include "core/tensor/packed_batch.h"

namespace contexture::nn {

// Multi-head self-attention up to the context (Vaswani et al. 2017, 3.2), with what families add to
// it: grouped keys and values, norms of queries and keys, a window, positions. Immutable, thread
// safe.
class FloatAttention {
 public:
  FloatAttention(const LayerContext& context, const LayerWeights& weights);
  absl::Status Init(const LayerWeights& weights);

  // From INPUT [tokens, hidden], which may be workspace.projected, to workspace.context.
  void Run(const PackedBatch& batch, const float* input, FloatWorkspace& workspace) const;
  size_t weight_bytes() const { return query_key_value_->weight_bytes(); }

 private:
  // A sequence's rows in the workspace.
  struct Rows {
    float* query;    // [length, query_size] at row_size()
    float* key;      // [length, key_size]
    float* value;    // [length, key_size]
    float* context;  // [length, query_size]
    int length;
  };
  Rows SequenceRows(const PackedBatch& batch, int sequence, FloatWorkspace& workspace) const;
  void NormaliseHeads(const Norm& norm, float* heads, int num_heads, int length) const;
  void AttendSequence(const Rows& rows, FloatWorkspace& workspace) const;
  int row_size() const { return config_.query_size() + 2 * config_.key_size(); }

  const LayerContext context_;
  const AttentionConfig config_;
  const kernels::VectorKernels& kernels_;
  Norm query_norm_, key_norm_;
  std::unique_ptr<kernels::Linear> query_key_value_;  // hidden -> row_size(), fused
};

}  // namespace contexture::nn
