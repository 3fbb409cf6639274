#include "core/nn/float_heads.h"

#include "core/base/status_macros.h"

namespace contexture::nn {

FloatHeads::FloatHeads(const LayerContext& context, const LayerWeights& weights)
    : context_(context),
      config_(context.config.attention),
      kernels_(kernels::GetVectorKernels(context.isa)),
      query_norm_(weights.query_norm, context.config.norm_weight_offset),
      key_norm_(weights.key_norm, context.config.norm_weight_offset) {}

absl::Status FloatHeads::Init(const LayerWeights& weights) {
  const DisentangledConfig& disentangled = config_.disentangled;
  const bool scores = disentangled.content_to_position || disentangled.position_to_content;
  if (context_.disentangled == nullptr || !scores) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(relative_, DisentangledProjections::Create(context_, weights));
  return absl::OkStatus();
}

// The heads of a token lie side by side, so they are the rows of a norm.
void FloatHeads::Normalise(const Norm& norm, const HeadRows& rows, float* heads,
                           int num_heads) const {
  for (int i = 0; i < rows.length; ++i) {
    float* token = heads + static_cast<size_t>(i) * rows.stride;
    nn::Normalise(kernels_, context_.config, norm,
                  {.input = token, .output = token, .rows = num_heads});
  }
}

void FloatHeads::Rotate(const HeadRows& rows, float* heads, int num_heads) const {
  kernels_.rotate({.rows = heads,
                   .turns = context_.positions.turns(),
                   .num_rows = rows.length,
                   .num_heads = num_heads,
                   .head_size = config_.head_size,
                   .stride = rows.stride});
}

void FloatHeads::Run(const HeadRows& rows, float* scratch, Observer* observer) const {
  if (query_norm_.present()) {
    Normalise(query_norm_, rows, rows.query, config_.num_heads);
    Normalise(key_norm_, rows, rows.key, config_.num_key_value_heads);
  }
  if (context_.positions.turns() != nullptr) {
    Rotate(rows, rows.query, config_.num_heads);
    Rotate(rows, rows.key, config_.num_key_value_heads);
  }
  const absl::Span<const float> slopes = context_.positions.slopes();
  const int group = config_.num_heads / config_.num_key_value_heads;
  for (int head = 0; head < config_.num_heads; ++head) {
    const size_t at = static_cast<size_t>(head) * config_.head_size;
    const size_t key_at = static_cast<size_t>(head / group) * config_.head_size;
    kernels::RelativeScores relative;
    if (relative_ != nullptr) relative = relative_->Head(head);
    const kernels::AttentionArgs args = {.query = rows.query + at,
                                         .key = rows.key + key_at,
                                         .value = rows.value + key_at,
                                         .context = rows.context + at,
                                         .query_length = rows.length,
                                         .key_length = rows.length,
                                         .head_size = config_.head_size,
                                         .stride = rows.stride,
                                         .context_stride = rows.context_stride,
                                         .scale = config_.scale,
                                         .causal = config_.causal,
                                         .scratch = scratch,
                                         .alibi_slope = slopes.empty() ? 0.0f : slopes[head],
                                         .window = context_.window,
                                         .distance_bias = context_.relative_bias == nullptr
                                                              ? nullptr
                                                              : context_.relative_bias->Head(head),
                                         .relative = relative_ == nullptr ? nullptr : &relative};
    kernels_.attention(args);
    if (observer != nullptr) observer->OnAttention(head, args);
  }
}

}  // namespace contexture::nn
