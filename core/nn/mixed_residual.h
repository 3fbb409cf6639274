#pragma once

#include "core/nn/mixed_parts.h"
#include "core/nn/mixed_workspace.h"

namespace contexture::nn {

// Writes BLOCK of workspace.input: the residual stream, workspace.hidden, as `input` says.
void PrepareInput(const MixedContext& context, const MixedInput& input, const MixedBlock& block,
                  MixedWorkspace& workspace);

// What stands around a sublayer of a layer, as FloatResidual, fused with what prepares the next
// sublayer's input. Immutable, thread safe.
class MixedResidual {
 public:
  MixedResidual(const MixedContext& context, const NormWeights& norm,
                const NormWeights& output_norm);

  // What the sublayer's input goes through; null: nothing, and always so in post-norm.
  const Norm* input_norm() const;
  // BLOCK of workspace.hidden grows by workspace.projected + BIAS, with the norms; `next` of it is
  // left in workspace.input. Shared by the workspace's team.
  void Add(const float* bias, const MixedBlock& block, const MixedInput& next,
           MixedWorkspace& workspace) const;

 private:
  void AddRows(const float* bias, const MixedBlock& block, const MixedInput& next,
               MixedWorkspace& workspace) const;

  const MixedContext context_;
  const Norm norm_;  // before the sublayer, or after the residual (kPost)
  const Norm output_norm_;
};

}  // namespace contexture::nn
