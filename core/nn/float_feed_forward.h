#pragma once

#include <memory>

#include "absl/status/status.h"
#include "core/nn/float_parts.h"
#include "core/nn/float_workspace.h"

namespace contexture::nn {

// down(activation(up x)) (Vaswani et al. 2017, 3.3) or, gated, down(activation(gate x) * up x)
// (Shazeer 2020), without the bias of `down`. Immutable, thread safe.
class FloatFeedForward {
 public:
  explicit FloatFeedForward(const LayerContext& context);
  absl::Status Init(const LayerWeights& weights);

  // ROWS <= max_block_rows rows: from INPUT [rows, hidden] to OUTPUT [rows, hidden], which may be
  // INPUT.
  void Run(const float* input, int rows, float* output, FloatWorkspace& workspace) const;
  const float* bias() const { return down_->bias(); }
  size_t weight_bytes() const { return up_->weight_bytes() + down_->weight_bytes(); }

 private:
  void Gate(int rows, FloatWorkspace& workspace) const;

  const LayerContext context_;
  const FeedForwardConfig config_;
  const kernels::VectorKernels& kernels_;
  std::unique_ptr<kernels::Linear> up_;  // gated: the gate beside it
  std::unique_ptr<kernels::Linear> down_;
};

}  // namespace contexture::nn
