#include "core/nn/mixed_layer.h"

#include <algorithm>

#include "core/nn/gather_rows.h"
#include "core/nn/share.h"

namespace contexture::nn {

MixedLayer::MixedLayer(const MixedContext& context, const LayerWeights& weights,
                       const LayerRanges* ranges)
    : context_(context),
      attention_residual_(context, weights.attention_norm, weights.attention_output_norm),
      feed_forward_residual_(context, weights.output_norm, weights.feed_forward_output_norm),
      attention_(context, weights, ranges),
      feed_forward_(context, weights, ranges) {}

void MixedLayer::Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                     const MixedInput& next, MixedWorkspace& workspace) const {
  int tokens = batch.num_tokens();
  attention_.Run(batch, workspace);
  if (!rows.empty()) {
    tokens = static_cast<int>(rows.size());
    GatherRows(rows, context_.config().hidden_size, workspace.hidden.data());
    GatherRows(rows, workspace.attention_stride, workspace.context.data());
  }
  const MixedInput inner = {feed_forward_residual_.input_norm(), feed_forward_.input_factors()};
  const int block_rows = Shares(workspace) ? kSharedBlockRows : kMixedBlockRows;
  for (int first = 0; first < tokens; first += block_rows) {
    const MixedBlock block = {first, std::min(block_rows, tokens - first)};
    attention_.Project(block, workspace);
    attention_residual_.Add(attention_.bias(), block, inner, workspace);
    feed_forward_.Run(block, workspace);
    feed_forward_residual_.Add(feed_forward_.bias(), block, next, workspace);
  }
}

}  // namespace contexture::nn
