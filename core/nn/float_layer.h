#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/kernels/linear.h"
#include "core/kernels/vector_kernels.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/nn/embedding.h"
#include "core/nn/float_workspace.h"
#include "core/nn/positions/positional_encoding.h"
#include "core/tensor/packed_batch.h"

namespace contexture::nn {

// One encoder layer in float: multi-head self-attention and a feed-forward, each with a residual
// and a norm (Vaswani et al. 2017, 3.1), post-norm or pre-norm. Immutable, thread safe.
class FloatLayer {
 public:
  // What the layers of an encoder share; it outlives them.
  struct Context {
    const EncoderConfig& config;
    const PositionalEncoding& positions;
    Isa isa;
  };
  static absl::StatusOr<std::unique_ptr<FloatLayer>> Create(const Context& context,
                                                            const LayerWeights& weights,
                                                            kernels::LinearBackend backend);
  // Replaces workspace.hidden [tokens, hidden] by the layer's output for the tokens ROWS, as
  // Encoder::Run.
  void Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
           FloatWorkspace& workspace) const;
  size_t weight_bytes() const;

 private:
  FloatLayer(const Context& context, const LayerWeights& weights);
  absl::Status Init(const LayerWeights& weights, kernels::LinearBackend backend, Isa isa);

  void Attention(const PackedBatch& batch, FloatWorkspace& workspace) const;
  void RotateSequence(size_t first_token, int length, FloatWorkspace& workspace) const;
  void AttendSequence(size_t first_token, int length, FloatWorkspace& workspace) const;
  // Rows [first, first + rows): attention output, feed-forward, residuals and norms.
  void FinishRows(int first, int rows, FloatWorkspace& workspace) const;
  void FeedForward(float* hidden, float* projected, int rows, FloatWorkspace& workspace) const;
  // hidden = norm(projected + bias + hidden), or without the norm.
  void AddResidual(const kernels::Linear& linear, const Norm& norm, float* projected, float* hidden,
                   int rows) const;

  bool pre_norm() const { return config_.norm_placement == NormPlacement::kPre; }
  int attention_size() const { return config_.attention.num_heads * config_.attention.head_size; }

  const EncoderConfig config_;
  const kernels::VectorKernels& kernels_;
  const PositionalEncoding& positions_;
  Norm attention_norm_, output_norm_;
  std::unique_ptr<kernels::Linear> query_key_value_;  // hidden -> 3 x heads x head_size, fused
  std::unique_ptr<kernels::Linear> attention_output_;
  std::unique_ptr<kernels::Linear> up_, down_;
};

}  // namespace contexture::nn
