#include "core/nn/float_attention.h"

#include "core/base/status_macros.h"
#include "core/nn/kernel_types.h"

namespace contexture::nn {

FloatAttention::FloatAttention(const LayerContext& context, const LayerWeights& weights)
    : context_(context), config_(context.config.attention), heads_(context, weights) {}

absl::Status FloatAttention::Init(const LayerWeights& weights) {
  const bool bias = context_.config.biases.query_key_value;
  CTX_ASSIGN_OR_RETURN(
      query_key_value_,
      MakeFloatLinear(context_,
                      {context_.config.hidden_size, row_size(),
                       bias ? kernels::Epilogue::kBias : kernels::Epilogue::kNone},
                      {ToPart(weights.query), ToPart(weights.key), ToPart(weights.value)}));
  return heads_.Init(weights);
}

void FloatAttention::Run(const PackedBatch& batch, const float* input,
                         FloatWorkspace& workspace) const {
  {
    const PartTimer timer(workspace.profile, Part::kQueryKeyValue);
    ShareLinear(workspace, *query_key_value_, input, batch.num_tokens(),
                workspace.query_key_value.data());
  }
  const PartTimer timer(workspace.profile, Part::kAttention);
  heads_.Run(
      workspace, batch.num_sequences(),
      [&](int sequence) { return SequenceRows(batch, sequence, workspace); },
      [](FloatWorkspace& member) { return member.attention_scratch.data(); });
}

HeadRows FloatAttention::SequenceRows(const PackedBatch& batch, int sequence,
                                      FloatWorkspace& workspace) const {
  const size_t first = batch.offsets[sequence];
  float* query = workspace.query_key_value.data() + first * row_size();
  return {.query = query,
          .key = query + config_.query_size(),
          .value = query + config_.query_size() + config_.key_size(),
          .context = workspace.context.data() + first * config_.query_size(),
          .length = batch.length(sequence),
          .num_keys = batch.num_keys(sequence),
          .stride = row_size(),
          .context_stride = config_.query_size()};
}

}  // namespace contexture::nn
