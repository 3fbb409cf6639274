#include "core/nn/float_residual.h"

#include "core/nn/share.h"

namespace contexture::nn {

FloatResidual::FloatResidual(const LayerContext& context, const NormWeights& norm,
                             const NormWeights& output_norm)
    : config_(context.config),
      kernels_(kernels::GetVectorKernels(context.isa)),
      norm_(norm, context.config.norm_weight_offset),
      output_norm_(output_norm, context.config.norm_weight_offset) {}

const float* FloatResidual::Input(const float* hidden, float* normed, int rows) const {
  if (!norms_input()) return hidden;
  Normalise(kernels_, config_, norm_, {.input = hidden, .output = normed, .rows = rows});
  return normed;
}

const float* FloatResidual::ShareInput(FloatWorkspace& workspace, int first, int rows) const {
  const size_t size = config_.hidden_size, at = first * size;
  const float* hidden = workspace.hidden.data() + at;
  float* normed = workspace.projected.data() + at;
  if (!norms_input()) return hidden;
  Share(workspace, {.rows = rows, .row_step = kSharedRows},
        [&](const ExtentPart& part, FloatWorkspace&) {
          const size_t row = part.first_row * size;
          Input(hidden + row, normed + row, part.rows);
        });
  return normed;
}

void FloatResidual::ShareAdd(const float* bias, FloatWorkspace& workspace, int first,
                             int rows) const {
  const size_t size = config_.hidden_size;
  Share(workspace, {.rows = rows, .row_step = kSharedRows},
        [&](const ExtentPart& part, FloatWorkspace&) {
          const size_t at = (first + part.first_row) * size;
          Add(bias, workspace.projected.data() + at, workspace.hidden.data() + at, part.rows);
        });
}

void FloatResidual::Add(const float* bias, float* projected, float* hidden, int rows) const {
  switch (config_.norm_placement) {
    case NormPlacement::kPost:
      Normalise(
          kernels_, config_, norm_,
          {.input = projected, .bias = bias, .residual = hidden, .output = hidden, .rows = rows});
      return;
    case NormPlacement::kSandwich:
      Normalise(kernels_, config_, output_norm_,
                {.input = projected, .bias = bias, .output = projected, .rows = rows});
      kernels_.add({projected, nullptr, hidden, hidden, rows, config_.hidden_size});
      return;
    case NormPlacement::kPre:
      kernels_.add({projected, bias, hidden, hidden, rows, config_.hidden_size});
      return;
  }
}

}  // namespace contexture::nn
