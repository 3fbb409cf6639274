#pragma once

#include <algorithm>

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

  // From BLOCK of workspace.input to workspace.projected. Shared by the workspace's team.
  void Run(const MixedBlock& block, MixedWorkspace& workspace) const;
  const float* input_factors() const { return up_.input_factors(); }
  const float* bias() const { return down_.bias(); }
  size_t weight_bytes() const { return up_.weight_bytes() + down_.weight_bytes(); }

 private:
  // Columns [first, first + count) of an output.
  struct Columns {
    int first;
    int count;
  };
  void RunShared(const MixedBlock& block, MixedWorkspace& workspace) const;
  Columns Chunk(int first) const {
    return {first, std::min(kIntermediateChunk, config_.intermediate_size - first)};
  }
  // COLUMNS of the intermediate activations, which are of CHUNK. TO: where CHUNK lies.
  void Up(const MixedBlock& block, const Columns& chunk, const Columns& columns, uint16_t* to,
          MixedWorkspace& workspace) const;
  // COLUMNS of the output grow by its product with CHUNK, which lies at FROM.
  void Down(const MixedBlock& block, const Columns& chunk, const uint16_t* from,
            const Columns& columns, MixedWorkspace& workspace) const;

  const MixedContext context_;
  const FeedForwardConfig config_;
  kernels::mixed::MixedLinear up_;  // gated: with the gate
  kernels::mixed::MixedLinear down_;
};

}  // namespace contexture::nn
