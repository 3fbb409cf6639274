#include "core/nn/float_layer.h"

#include <utility>

#include "core/base/status_macros.h"
#include "core/nn/gather_rows.h"
#include "core/nn/kernel_types.h"
#include "core/nn/share.h"

namespace contexture::nn {

FloatLayer::FloatLayer(const LayerContext& context, const LayerWeights& weights)
    : context_(context),
      config_(context.config),
      attention_residual_(context, weights.attention_norm, weights.attention_output_norm),
      feed_forward_residual_(context, weights.output_norm, weights.feed_forward_output_norm),
      attention_(context, weights),
      feed_forward_(context) {}

absl::StatusOr<std::unique_ptr<FloatLayer>> FloatLayer::Create(const LayerContext& context,
                                                               const LayerWeights& weights) {
  std::unique_ptr<FloatLayer> layer(new FloatLayer(context, weights));
  CTX_RETURN_IF_ERROR(layer->Init(weights));
  return layer;
}

absl::Status FloatLayer::Init(const LayerWeights& weights) {
  CTX_RETURN_IF_ERROR(attention_.Init(weights));
  // The bias is added together with the residual.
  CTX_ASSIGN_OR_RETURN(
      attention_output_,
      MakeFloatLinear(
          context_, {config_.attention.query_size(), config_.hidden_size, kernels::Epilogue::kNone},
          {ToPart(weights.attention_output)}));
  return feed_forward_.Init(weights);
}

size_t FloatLayer::weight_bytes() const {
  return attention_.weight_bytes() + attention_output_->weight_bytes() +
         feed_forward_.weight_bytes();
}

void FloatLayer::Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                     FloatWorkspace& workspace) const {
  int tokens = batch.num_tokens();
  const float* input = attention_residual_.ShareInput(workspace, 0, tokens);
  if (workspace.observer != nullptr) workspace.observer->OnAttentionInput(input);
  attention_.Run(batch, input, workspace);
  if (!rows.empty()) {
    tokens = static_cast<int>(rows.size());
    GatherRows(rows, config_.hidden_size, workspace.hidden.data());
    GatherRows(rows, config_.attention.query_size(), workspace.context.data());
  }
  workspace.ForEachBlock(tokens,
                         [&](int first, int count) { FinishRows(first, count, workspace); });
}

void FloatLayer::FinishRows(int first, int rows, FloatWorkspace& workspace) const {
  const size_t at = static_cast<size_t>(first) * config_.hidden_size;
  float* hidden = workspace.hidden.data() + at;
  float* projected = workspace.projected.data() + at;
  const float* context =
      workspace.context.data() + static_cast<size_t>(first) * config_.attention.query_size();
  {
    const PartTimer timer(workspace.profile, Part::kAttentionOutput);
    ShareLinear(workspace, *attention_output_, context, rows, projected);
  }
  {
    const PartTimer timer(workspace.profile, Part::kNorm);
    attention_residual_.ShareAdd(attention_output_->bias(), workspace, first, rows);
  }
  if (workspace.observer != nullptr) workspace.observer->OnAttentionOutput(first, rows, hidden);
  const float* input = feed_forward_residual_.ShareInput(workspace, first, rows);
  if (workspace.observer != nullptr) workspace.observer->OnFeedForwardInput(first, rows, input);
  feed_forward_.Run(input, rows, projected, workspace);
  const PartTimer timer(workspace.profile, Part::kNorm);
  feed_forward_residual_.ShareAdd(feed_forward_.bias(), workspace, first, rows);
}

}  // namespace contexture::nn
