#include "core/nn/float_attention.h"

#include "core/base/status_macros.h"
#include "core/nn/kernel_types.h"

namespace contexture::nn {

FloatAttention::FloatAttention(const LayerContext& context, const LayerWeights& weights)
    : context_(context),
      config_(context.config.attention),
      kernels_(kernels::GetVectorKernels(context.isa)),
      query_norm_(weights.query_norm, context.config.norm_weight_offset),
      key_norm_(weights.key_norm, context.config.norm_weight_offset) {}

absl::Status FloatAttention::Init(const LayerWeights& weights) {
  const bool bias = context_.config.biases.query_key_value;
  CTX_ASSIGN_OR_RETURN(
      query_key_value_,
      MakeFloatLinear(context_,
                      {context_.config.hidden_size, row_size(),
                       bias ? kernels::Epilogue::kBias : kernels::Epilogue::kNone},
                      {ToPart(weights.query), ToPart(weights.key), ToPart(weights.value)}));
  return absl::OkStatus();
}

void FloatAttention::Run(const PackedBatch& batch, const float* input,
                         FloatWorkspace& workspace) const {
  {
    const PartTimer timer(workspace.profile, Part::kQueryKeyValue);
    query_key_value_->Run(input, batch.num_tokens(), workspace.query_key_value.data());
  }
  const PartTimer timer(workspace.profile, Part::kAttention);
  const bool rotates = context_.positions.rotates();
  for (int sequence = 0; sequence < batch.num_sequences(); ++sequence) {
    const Rows rows = SequenceRows(batch, sequence, workspace);
    if (query_norm_.present()) {
      NormaliseHeads(query_norm_, rows.query, config_.num_heads, rows.length);
      NormaliseHeads(key_norm_, rows.key, config_.num_key_value_heads, rows.length);
    }
    if (rotates) {
      context_.positions.RotateQueryKey({.query = rows.query,
                                         .key = rows.key,
                                         .length = rows.length,
                                         .num_heads = config_.num_heads,
                                         .head_size = config_.head_size,
                                         .stride = row_size(),
                                         .num_key_heads = config_.num_key_value_heads});
    }
    AttendSequence(rows, workspace);
  }
}

FloatAttention::Rows FloatAttention::SequenceRows(const PackedBatch& batch, int sequence,
                                                  FloatWorkspace& workspace) const {
  const size_t first = batch.offsets[sequence];
  float* query = workspace.query_key_value.data() + first * row_size();
  return {.query = query,
          .key = query + config_.query_size(),
          .value = query + config_.query_size() + config_.key_size(),
          .context = workspace.context.data() + first * config_.query_size(),
          .length = batch.length(sequence)};
}

// The heads of a token lie side by side, so they are the rows of a norm.
void FloatAttention::NormaliseHeads(const Norm& norm, float* heads, int num_heads,
                                    int length) const {
  for (int i = 0; i < length; ++i) {
    float* token = heads + static_cast<size_t>(i) * row_size();
    Normalise(kernels_, context_.config, norm,
              {.input = token, .output = token, .rows = num_heads});
  }
}

void FloatAttention::AttendSequence(const Rows& rows, FloatWorkspace& workspace) const {
  const absl::Span<const float> slopes = context_.positions.slopes();
  const int group = config_.num_heads / config_.num_key_value_heads;
  for (int head = 0; head < config_.num_heads; ++head) {
    const size_t at = static_cast<size_t>(head) * config_.head_size;
    const size_t key_at = static_cast<size_t>(head / group) * config_.head_size;
    const kernels::AttentionArgs args = {.query = rows.query + at,
                                         .key = rows.key + key_at,
                                         .value = rows.value + key_at,
                                         .context = rows.context + at,
                                         .query_length = rows.length,
                                         .key_length = rows.length,
                                         .head_size = config_.head_size,
                                         .stride = row_size(),
                                         .context_stride = config_.query_size(),
                                         .scale = config_.scale,
                                         .causal = config_.causal,
                                         .scratch = workspace.attention_scratch.data(),
                                         .alibi_slope = slopes.empty() ? 0.0f : slopes[head],
                                         .window = context_.window,
                                         .distance_bias = context_.relative_bias == nullptr
                                                              ? nullptr
                                                              : context_.relative_bias->Head(head)};
    kernels_.attention(args);
    if (workspace.observer != nullptr) workspace.observer->OnAttention(head, args);
  }
}

}  // namespace contexture::nn
