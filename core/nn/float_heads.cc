#include "core/nn/float_heads.h"

#include <algorithm>

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
void FloatHeads::Normalise(const Norm& norm, const HeadRows& rows, const Heads& heads) const {
  if (heads.count <= 0) return;
  float* first = rows.query + static_cast<size_t>(heads.first) * config_.head_size;
  for (int i = 0; i < rows.length; ++i) {
    float* token = first + static_cast<size_t>(i) * rows.stride;
    nn::Normalise(kernels_, context_.config, norm,
                  {.input = token, .output = token, .rows = heads.count});
  }
}

// Keys lie behind the queries.
void FloatHeads::Prepare(const HeadRows& rows, const Heads& heads) const {
  if (query_norm_.present()) {
    const int end = heads.first + heads.count;
    const int border = std::clamp(config_.num_heads, heads.first, end);
    Normalise(query_norm_, rows, {heads.first, border - heads.first});
    Normalise(key_norm_, rows, {border, end - border});
  }
  if (context_.positions.turns() == nullptr) return;
  kernels_.rotate({.rows = rows.query + static_cast<size_t>(heads.first) * config_.head_size,
                   .turns = context_.positions.turns(),
                   .num_rows = rows.length,
                   .num_heads = heads.count,
                   .head_size = config_.head_size,
                   .stride = rows.stride});
}

void FloatHeads::Attend(const HeadRows& rows, const Heads& heads, float* scratch,
                        Observer* observer) const {
  const absl::Span<const float> slopes = context_.positions.slopes();
  const int group = config_.num_heads / config_.num_key_value_heads;
  for (int head = heads.first; head < heads.first + heads.count; ++head) {
    const size_t at = static_cast<size_t>(head) * config_.head_size;
    const size_t key_at = static_cast<size_t>(head / group) * config_.head_size;
    kernels::RelativeScores relative;
    if (relative_ != nullptr) relative = relative_->Head(head);
    const kernels::AttentionArgs args = {.query = rows.query + at,
                                         .key = rows.key + key_at,
                                         .value = rows.value + key_at,
                                         .context = rows.context + at,
                                         .query_length = rows.length,
                                         .key_length = rows.num_keys,
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
