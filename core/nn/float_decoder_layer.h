#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/nn/float_attention.h"
#include "core/nn/float_feed_forward.h"
#include "core/nn/float_parts.h"
#include "core/nn/float_residual.h"
#include "core/nn/float_workspace.h"
#include "core/tensor/packed_batch.h"

namespace contexture::nn {

// One decoder layer in float: masked self-attention over the target, attention of the target to the
// encoder's output, and a feed-forward, each with a residual and norms (Vaswani et al. 2017, 3.1).
// Immutable, thread safe.
class FloatDecoderLayer {
 public:
  // CONTEXT's config has causal attention.
  static absl::StatusOr<std::unique_ptr<FloatDecoderLayer>> Create(
      const LayerContext& context, const DecoderLayerWeights& weights);
  // Replaces workspace.hidden [target tokens, hidden] by the layer's output. TARGET and SOURCE have
  // as many sequences; workspace.memory [source tokens, hidden] is the encoder's output.
  void Run(const PackedBatch& target, const PackedBatch& source, FloatWorkspace& workspace) const;
  size_t weight_bytes() const;

 private:
  FloatDecoderLayer(const LayerContext& context, const DecoderLayerWeights& weights);
  absl::Status Init(const DecoderLayerWeights& weights);
  void AttendToTarget(const PackedBatch& target, FloatWorkspace& workspace) const;
  void AttendToSource(const PackedBatch& target, const PackedBatch& source,
                      FloatWorkspace& workspace) const;
  // The context of one target sequence.
  void AttendSequence(const PackedBatch& target, const PackedBatch& source, int sequence,
                      FloatWorkspace& workspace) const;
  void FeedForward(int first, int rows, FloatWorkspace& workspace) const;

  const LayerContext context_;
  const AttentionConfig config_;
  const kernels::VectorKernels& kernels_;
  FloatResidual self_residual_, cross_residual_, feed_forward_residual_;
  FloatAttention self_attention_;
  std::unique_ptr<kernels::Linear> self_output_;
  std::unique_ptr<kernels::Linear> query_;      // of the target; rows as wide as key_value_'s
  std::unique_ptr<kernels::Linear> key_value_;  // of the encoder's output, side by side
  std::unique_ptr<kernels::Linear> cross_output_;
  FloatFeedForward feed_forward_;
};

}  // namespace contexture::nn
