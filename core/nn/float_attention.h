#pragma once

#include <memory>

#include "absl/status/status.h"
#include "core/kernels/linear.h"
#include "core/nn/float_heads.h"
#include "core/nn/float_parts.h"
#include "core/nn/float_workspace.h"
#include "core/tensor/packed_batch.h"

namespace contexture::nn {

// Multi-head self-attention up to the context: the fused projections, and FloatHeads. Immutable,
// thread safe.
class FloatAttention {
 public:
  FloatAttention(const LayerContext& context, const LayerWeights& weights);
  absl::Status Init(const LayerWeights& weights);

  // From INPUT [tokens, hidden], which may be workspace.projected, to workspace.context.
  void Run(const PackedBatch& batch, const float* input, FloatWorkspace& workspace) const;
  size_t weight_bytes() const { return query_key_value_->weight_bytes() + heads_.weight_bytes(); }

 private:
  HeadRows SequenceRows(const PackedBatch& batch, int sequence, FloatWorkspace& workspace) const;
  int row_size() const { return config_.query_size() + 2 * config_.key_size(); }

  const LayerContext context_;
  const AttentionConfig config_;
  FloatHeads heads_;
  std::unique_ptr<kernels::Linear> query_key_value_;  // hidden -> row_size(), fused
};

}  // namespace contexture::nn
