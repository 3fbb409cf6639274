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

// One encoder layer in float: multi-head self-attention and a feed-forward, each with a residual
// and norms where NormPlacement says (Vaswani et al. 2017, 3.1). Immutable, thread safe.
class FloatLayer {
 public:
  static absl::StatusOr<std::unique_ptr<FloatLayer>> Create(const LayerContext& context,
                                                            const LayerWeights& weights);
  // Replaces workspace.hidden [tokens, hidden] by the layer's output for the tokens ROWS, as
  // Encoder::Run.
  void Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
           FloatWorkspace& workspace) const;
  size_t weight_bytes() const;

 private:
  FloatLayer(const LayerContext& context, const LayerWeights& weights);
  absl::Status Init(const LayerWeights& weights);

  // Rows [first, first + rows): attention output, feed-forward, residuals and norms.
  void FinishRows(int first, int rows, FloatWorkspace& workspace) const;

  const LayerContext context_;
  const EncoderConfig& config_;
  FloatResidual attention_residual_, feed_forward_residual_;
  FloatAttention attention_;
  std::unique_ptr<kernels::Linear> attention_output_;
  FloatFeedForward feed_forward_;
};

}  // namespace contexture::nn
