#include "core/nn/mixed_residual.h"

#include "core/nn/share.h"

namespace contexture::nn {

namespace mixed = kernels::mixed;

namespace {

float* ProjectedRows(const MixedBlock& block, MixedWorkspace& workspace) {
  return workspace.projected.data() + static_cast<size_t>(block.at) * workspace.projected_stride;
}

// A norm into BLOCK of workspace.input; without `input` or when that is not wanted, floats alone.
mixed::NormArgs NormInto(const MixedContext& context, const Norm& norm, const MixedInput& input,
                         const MixedBlock& block, MixedWorkspace& workspace) {
  const EncoderConfig& config = context.config();
  const size_t at = static_cast<size_t>(block.first) * workspace.hidden_stride;
  mixed::NormArgs args = {.norm = {},
                          .activations = input.wanted ? workspace.input.data() + at : nullptr,
                          .stride = workspace.hidden_stride,
                          .low_offset = context.low_offset(config.hidden_size),
                          .factors = input.factors};
  float* projected = ProjectedRows(block, workspace);
  args.norm = {.input = projected,
               .bias = nullptr,
               .residual = nullptr,
               .gamma = norm.gamma.data(),
               .beta = norm.beta.data(),
               .output = projected,
               .rows = block.rows,
               .size = config.hidden_size,
               .epsilon = config.norm_epsilon,
               .subtract_mean = config.norm_kind == NormKind::kLayer};
  args.input_stride = args.output_stride = workspace.projected_stride;
  return args;
}

float* HiddenRows(const MixedContext& context, const MixedBlock& block, MixedWorkspace& workspace) {
  return workspace.hidden.data() + static_cast<size_t>(block.first) * context.config().hidden_size;
}

}  // namespace

void PrepareInput(const MixedContext& context, const MixedInput& input, const MixedBlock& block,
                  MixedWorkspace& workspace) {
  if (!input.wanted) return;
  const int size = context.config().hidden_size;
  const float* hidden = HiddenRows(context, block, workspace);
  if (input.norm != nullptr) {
    mixed::NormArgs args = NormInto(context, *input.norm, input, block, workspace);
    args.norm.input = hidden;
    args.input_stride = size;
    context.kernels.norm(context.format, args);
    return;
  }
  const size_t at = static_cast<size_t>(block.first) * workspace.hidden_stride;
  context.kernels.convert(context.format, {.input = hidden,
                                           .input_stride = size,
                                           .output = workspace.input.data() + at,
                                           .stride = workspace.hidden_stride,
                                           .low_offset = context.low_offset(size),
                                           .rows = block.rows,
                                           .columns = size,
                                           .factors = input.factors});
}

MixedResidual::MixedResidual(const MixedContext& context, const NormWeights& norm,
                             const NormWeights& output_norm)
    : context_(context),
      norm_(norm, context.config().norm_weight_offset),
      output_norm_(output_norm, context.config().norm_weight_offset) {}

const Norm* MixedResidual::input_norm() const {
  const bool before = context_.config().norm_placement != NormPlacement::kPost;
  return before && norm_.present() ? &norm_ : nullptr;
}

void MixedResidual::Add(const float* bias, const MixedBlock& block, const MixedInput& next,
                        MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kNorm);
  Share(workspace, {.rows = block.rows, .row_step = kSharedRows},
        [&](const ExtentPart& part, MixedWorkspace&) {
          AddRows(bias, block.Part(part.first_row, part.rows), next, workspace);
        });
}

void MixedResidual::AddRows(const float* bias, const MixedBlock& block, const MixedInput& next,
                            MixedWorkspace& workspace) const {
  const NormPlacement placement = context_.config().norm_placement;
  float* hidden = HiddenRows(context_, block, workspace);
  if (placement == NormPlacement::kPost) {
    mixed::NormArgs args = NormInto(context_, norm_, next, block, workspace);
    args.norm.bias = bias;
    args.norm.residual = args.norm.output = hidden;
    args.output_stride = context_.config().hidden_size;
    context_.kernels.norm(context_.format, args);
    return;
  }
  if (placement == NormPlacement::kSandwich) {
    mixed::NormArgs args = NormInto(context_, output_norm_, {.wanted = false}, block, workspace);
    args.norm.bias = bias;
    context_.kernels.norm(context_.format, args);
    bias = nullptr;
  }
  if (next.wanted && next.norm != nullptr) {
    mixed::NormArgs args = NormInto(context_, *next.norm, next, block, workspace);
    args.norm.bias = bias;
    args.norm.residual = args.sum = hidden;
    context_.kernels.norm(context_.format, args);
    return;
  }
  const int size = context_.config().hidden_size;
  const float* row = ProjectedRows(block, workspace);
  for (int r = 0; r < block.rows; ++r, hidden += size, row += workspace.projected_stride) {
    context_.float_kernels().add({row, bias, hidden, hidden, 1, size});
  }
  PrepareInput(context_, next, block, workspace);
}

}  // namespace contexture::nn
