#include "core/nn/mixed_feed_forward.h"

#include <algorithm>

#include "core/nn/kernel_types.h"
#include "core/nn/share.h"

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
  if (Shares(workspace)) return RunShared(block, workspace);
  uint16_t* chunk_data = workspace.intermediate.data();
  for (int first = 0; first < config_.intermediate_size; first += kIntermediateChunk) {
    const Columns chunk = Chunk(first);
    {
      const PartTimer timer(workspace.profile, Part::kFeedForwardUp);
      Up(block, chunk, chunk, chunk_data, workspace);
    }
    const PartTimer timer(workspace.profile, Part::kFeedForwardDown);
    Down(block, chunk, chunk_data, {0, context_.config().hidden_size}, workspace);
  }
}

// A chunk's rows are quantized as one; else a panel is made by itself.
void MixedFeedForward::RunShared(const MixedBlock& block, MixedWorkspace& workspace) const {
  const int inner = config_.intermediate_size;
  const auto chunk_data = [&](int first) {
    return workspace.intermediate.data() +
           first / kIntermediateChunk * workspace.shared_chunk_stride();
  };
  const int step = context_.format == mixed::Format::kInt8 ? kIntermediateChunk : mixed::kPanel;
  {
    const PartTimer timer(workspace.profile, Part::kFeedForwardUp);
    Share(workspace, {block.rows, inner, mixed::kSpareRows, step},
          [&](const ExtentPart& part, MixedWorkspace&) {
            const MixedBlock rows = block.Part(part.first_row, part.rows);
            const int end = part.first_column + part.columns;
            for (int at = part.first_column; at < end;) {
              const Columns chunk = Chunk(at / kIntermediateChunk * kIntermediateChunk);
              const int count = std::min(end, chunk.first + chunk.count) - at;
              Up(rows, chunk, {at, count}, chunk_data(chunk.first), workspace);
              at += count;
            }
          });
  }
  const PartTimer timer(workspace.profile, Part::kFeedForwardDown);
  Share(
      workspace, {block.rows, context_.config().hidden_size, mixed::kSpareRows, mixed::kPanel},
      [&](const ExtentPart& part, MixedWorkspace&) {
        const MixedBlock rows = block.Part(part.first_row, part.rows);
        for (int first = 0; first < inner; first += kIntermediateChunk) {
          Down(rows, Chunk(first), chunk_data(first), {part.first_column, part.columns}, workspace);
        }
      });
}

void MixedFeedForward::Up(const MixedBlock& block, const Columns& chunk, const Columns& columns,
                          uint16_t* to, MixedWorkspace& workspace) const {
  const int width = config_.gated ? 2 : 1;  // columns of the panels for one of the output
  mixed::GemmArgs up =
      up_.Columns(width * columns.first, width * mixed::RoundUpToPanel(columns.count));
  up.input = workspace.input.data() + static_cast<size_t>(block.first) * workspace.hidden_stride;
  up.input_stride = workspace.hidden_stride;
  up.low_offset = context_.low_offset(context_.config().hidden_size);
  up.rows = block.rows;
  context_.kernels.gemm_activation(
      context_.format, up,
      {.output = to + static_cast<size_t>(block.at) * workspace.chunk_stride + columns.first -
                 chunk.first,
       .stride = workspace.chunk_stride,
       .low_offset = context_.low_offset(mixed::RoundUpToPanel(chunk.count)),
       .bias = up_.bias() + static_cast<size_t>(width) * columns.first,
       .epilogue = ActivationEpilogue(config_.activation),
       .format = context_.format,
       .gated = config_.gated});
}

void MixedFeedForward::Down(const MixedBlock& block, const Columns& chunk, const uint16_t* from,
                            const Columns& columns, MixedWorkspace& workspace) const {
  mixed::GemmArgs down =
      mixed::MixedLinear::Cut(down_.Depth(chunk.first, chunk.count), columns.first, columns.count);
  down.input = from + static_cast<size_t>(block.at) * workspace.chunk_stride;
  down.input_stride = workspace.chunk_stride;
  down.low_offset = context_.low_offset(mixed::RoundUpToPanel(chunk.count));
  down.rows = block.rows;
  float* to = workspace.projected.data() +
              static_cast<size_t>(block.at) * workspace.projected_stride + columns.first;
  context_.kernels.gemm_float(context_.format, down,
                              {to, workspace.projected_stride, nullptr, chunk.first != 0});
}

}  // namespace contexture::nn
