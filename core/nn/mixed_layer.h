#pragma once

#include "core/nn/mixed_attention.h"
#include "core/nn/mixed_feed_forward.h"
#include "core/nn/mixed_parts.h"
#include "core/nn/mixed_residual.h"
#include "core/nn/mixed_workspace.h"
#include "core/tensor/packed_batch.h"

namespace contexture::nn {

// One encoder layer in mixed precision, as FloatLayer. Immutable, thread safe.
class MixedLayer {
 public:
  // `ranges`: for kInt8, or null.
  MixedLayer(const MixedContext& context, const LayerWeights& weights, const LayerRanges* ranges);
  // As MixedAttention's.
  absl::Status Init(const LayerWeights& weights) { return attention_.Init(weights); }

  // What the layer takes in workspace.input.
  MixedInput input() const {
    return {attention_residual_.input_norm(), attention_.input_factors()};
  }
  // Replaces workspace.hidden [tokens, hidden] by the layer's output for the tokens ROWS, as
  // Encoder::Run, and workspace.input by what `next` is of it.
  void Run(const PackedBatch& batch, absl::Span<const uint32_t> rows, const MixedInput& next,
           MixedWorkspace& workspace) const;
  size_t weight_bytes() const { return attention_.weight_bytes() + feed_forward_.weight_bytes(); }

 private:
  const MixedContext context_;
  MixedResidual attention_residual_, feed_forward_residual_;
  MixedAttention attention_;
  MixedFeedForward feed_forward_;
};

}  // namespace contexture::nn
