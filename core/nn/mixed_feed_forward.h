#pragma once

#include "core/kernels/mixed_linear.h"
#include "core/nn/mixed_parts.h"
#include "core/nn/mixed_workspace.h"

namespace contexture::nn {

// A feed-forward in mixed precision, as FloatFeedForward, without the bias of `down`. Immutable,
// thread safe.
class MixedFeedForward {
 public:
  // `ranges`: for kInt8, or null.
  MixedFeedForward(const MixedContext& context, const LayerWeights& weights,
                   const LayerRanges* ranges);

  // From BLOCK of workspace.input to workspace.projected.
  void Run(const MixedBlock& block, MixedWorkspace& workspace) const;
  const float* input_factors() const { return up_.input_factors(); }
  const float* bias() const { return down_.bias(); }
  size_t weight_bytes() const { return up_.weight_bytes() + down_.weight_bytes(); }

 private:
  void Up(const MixedBlock& block, int first, int columns, MixedWorkspace& workspace) const;
  void Down(int rows, int first, int columns, MixedWorkspace& workspace) const;

  const MixedContext context_;
  const FeedForwardConfig config_;
  kernels::mixed::MixedLinear up_;  // gated: with the gate
  kernels::mixed::MixedLinear down_;
};

}  // namespace contexture::nn
