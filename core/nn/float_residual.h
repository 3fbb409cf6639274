#pragma once

#include "core/nn/float_parts.h"
#include "core/nn/float_workspace.h"
#include "core/nn/norm.h"

namespace contexture::nn {

// What stands around a sublayer f of a layer: the residual, and norms where NormPlacement says.
// norm(x + f(x)), x + f(norm(x)), or x + norm(f(norm(x))). Immutable, thread safe.
class FloatResidual {
 public:
  // OUTPUT_NORM, on what the sublayer returns: kSandwich alone. CONTEXT's config outlives this.
  FloatResidual(const LayerContext& context, const NormWeights& norm,
                const NormWeights& output_norm = {});

  // What the sublayer takes: HIDDEN, or its norm in NORMED. Both [rows, hidden].
  const float* Input(const float* hidden, float* normed, int rows) const;
  // HIDDEN [rows, hidden] grows by what the sublayer returned, PROJECTED + BIAS, with the norms.
  void Add(const float* bias, float* projected, float* hidden, int rows) const;
  // The same for rows [first, first + rows) of workspace.hidden and workspace.projected, shared by
  // the workspace's team.
  const float* ShareInput(FloatWorkspace& workspace, int first, int rows) const;
  void ShareAdd(const float* bias, FloatWorkspace& workspace, int first, int rows) const;

 private:
  bool norms_input() const {
    return config_.norm_placement != NormPlacement::kPost && norm_.present();
  }

  const EncoderConfig& config_;
  const kernels::VectorKernels& kernels_;
  const Norm norm_;  // before the sublayer, or after the residual (kPost)
  const Norm output_norm_;
};

}  // namespace contexture::nn
