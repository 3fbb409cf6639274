#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/base/aligned_buffer.h"
#include "core/kernels/linear.h"
#include "core/nn/float_parts.h"
#include "core/nn/float_workspace.h"
#include "core/tensor/packed_batch.h"

namespace contexture::nn {

// A convolution over the tokens of each sequence that goes into the residual stream after layer 0,
// see ConvolutionConfig. A linear layer over windows of tokens. Immutable, thread safe.
class Convolution {
 public:
  // What CONTEXT's references lead to outlives it. Codes: those of kernels::MakeLinear.
  static absl::StatusOr<std::unique_ptr<Convolution>> Create(const LayerContext& context,
                                                             const EncoderWeights& weights);

  // Convolves workspace.hidden, the embedding's output, into workspace.convolved [tokens, hidden].
  void Run(const PackedBatch& batch, FloatWorkspace& workspace) const;
  // Adds workspace.convolved to workspace.hidden, layer 0's output for the tokens ROWS as
  // Encoder::Run, and norms.
  void Add(const PackedBatch& batch, absl::Span<const uint32_t> rows,
           FloatWorkspace& workspace) const;
  size_t weight_bytes() const { return linear_->weight_bytes(); }

 private:
  Convolution(const LayerContext& context, const EncoderWeights& weights);
  // Writes the windows of tokens [first, first + rows) of a sequence, zeros where it has no token.
  struct Windows {
    const float* tokens;  // [length, hidden]
    int length, first, rows;
  };
  void Gather(const Windows& windows, float* output) const;

  const EncoderConfig& config_;
  const kernels::VectorKernels& kernels_;
  const Norm norm_;
  std::unique_ptr<kernels::Linear> linear_;  // size * hidden -> hidden
};

}  // namespace contexture::nn
