#include "core/nn/mixed_feed_forward.h"

#include <algorithm>

#include "core/nn/kernel_types.h"

namespace contexture::nn {

namespace mixed = kernels::mixed;

namespace {

mixed::MixedLinear MakeUp(const MixedContext& context, const LayerWeights& weights,
                          const LayerRanges* ranges) {
  const mixed::Int8Spec int8 = {.input_ranges = RangesOf(ranges, &LayerRanges::feed_forward_input),
                                .scale_depth = kScaleDepth};
  if (!context.config().feed_forward.gated) return {context.format, {ToPart(weights.up)}, int8};
  return {
      context.format, {ToPart(weights.gate), ToPart(weights.up)}, int8, mixed::Stacking::kGated};
}

}  // namespace

MixedFeedForward::MixedFeedForward(const MixedContext& context, const LayerWeights& weights,
                                   const LayerRanges* ranges)
    : context_(context),
      config_(context.config().feed_forward),
      up_(MakeUp(context, weights, ranges)),
      down_(context.format, {ToPart(weights.down)}, {{}, kIntermediateChunk, kScaleDepth}) {}

// The intermediate activations are made and used up in chunks of columns, so that they stay in the
// cache; the output's sums run over the chunks in order.
void MixedFeedForward::Run(const MixedBlock& block, MixedWorkspace& workspace) const {
  const int inner = config_.intermediate_size;
  for (int first = 0; first < inner; first += kIntermediateChunk) {
    const int columns = std::min(kIntermediateChunk, inner - first);
    Up(block, first, columns, workspace);
    Down(block.rows, first, columns, workspace);
  }
}

void MixedFeedForward::Up(const MixedBlock& block, int first, int columns,
                          MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kFeedForwardUp);
  columns = mixed::RoundUpToPanel(columns);
  const int width = config_.gated ? 2 : 1;  // columns of the panels for one of the output
  mixed::GemmArgs up = up_.Columns(width * first, width * columns);
  up.input = workspace.input.data() + static_cast<size_t>(block.first) * workspace.hidden_stride;
  up.input_stride = workspace.hidden_stride;
  up.low_offset = context_.low_offset(context_.config().hidden_size);
  up.rows = block.rows;
  context_.kernels.gemm_activation(context_.format, up,
                                   {.output = workspace.intermediate.data(),
                                    .stride = workspace.chunk_stride,
                                    .low_offset = context_.low_offset(columns),
                                    .bias = up_.bias() + static_cast<size_t>(width) * first,
                                    .epilogue = ActivationEpilogue(config_.activation),
                                    .format = context_.format,
                                    .gated = config_.gated});
}

void MixedFeedForward::Down(int rows, int first, int columns, MixedWorkspace& workspace) const {
  const PartTimer timer(workspace.profile, Part::kFeedForwardDown);
  mixed::GemmArgs down = down_.Depth(first, columns);
  down.input = workspace.intermediate.data();
  down.input_stride = workspace.chunk_stride;
  down.low_offset = context_.low_offset(mixed::RoundUpToPanel(columns));
  down.rows = rows;
  context_.kernels.gemm_float(
      context_.format, down,
      {workspace.projected.data(), workspace.projected_stride, nullptr, first != 0});
}

}  // namespace contexture::nn
