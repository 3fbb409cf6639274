#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/nn/float_attention.h"
#include "core/nn/float_feed_forward.h"
#include "core/nn/float_parts.h"
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

  // The norms of a sublayer. `norm` stands before it, or after the residual (kPost); `output_norm`
  // on what it returns (kSandwich).
  struct Norms {
    Norm norm, output_norm;
  };
  // What the sublayer takes: HIDDEN, or its norm in NORMED. Both [rows, hidden].
  const float* Input(const Norms& norms, const float* hidden, float* normed, int rows) const;
  // HIDDEN [rows, hidden] grows by what the sublayer returned, PROJECTED + BIAS, with the norms.
  void AddResidual(const Norms& norms, const float* bias, float* projected, float* hidden,
                   int rows) const;
  // Rows [first, first + rows): attention output, feed-forward, residuals and norms.
  void FinishRows(int first, int rows, FloatWorkspace& workspace) const;

  const LayerContext context_;
  const EncoderConfig& config_;
  const kernels::VectorKernels& kernels_;
  Norms attention_norms_, feed_forward_norms_;
  FloatAttention attention_;
  std::unique_ptr<kernels::Linear> attention_output_;
  FloatFeedForward feed_forward_;
};

}  // namespace contexture::nn
