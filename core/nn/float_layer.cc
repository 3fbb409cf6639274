#include "core/nn/float_layer.h"

#include <algorithm>
#include <utility>

#include "core/base/status_macros.h"
#include "core/nn/gather_rows.h"
#include "core/nn/kernel_types.h"

namespace contexture::nn {
FloatLayer::FloatLayer(const Context& context, const LayerWeights& weights)
    : config_(context.config),
      kernels_(kernels::GetVectorKernels(context.isa)),
      positions_(context.positions),
      attention_norm_(weights.attention_norm),
      output_norm_(weights.output_norm) {}

absl::StatusOr<std::unique_ptr<FloatLayer>> FloatLayer::Create(const Context& context,
                                                               const LayerWeights& weights,
                                                               kernels::LinearBackend backend) {
  std::unique_ptr<FloatLayer> layer(new FloatLayer(context, weights));
  CTX_RETURN_IF_ERROR(layer->Init(weights, backend, context.isa));
  return layer;
}

absl::Status FloatLayer::Init(const LayerWeights& weights, kernels::LinearBackend backend,
                              Isa isa) {
  const int hidden = config_.hidden_size;
  const int inner = config_.feed_forward.intermediate_size;
  const int attention = attention_size();
  const auto make = [&](int in, int out, kernels::Epilogue epilogue,
                        std::initializer_list<kernels::LinearPart> parts) {
    return kernels::MakeLinear(backend, {in, out, in, out, epilogue, isa}, parts);
  };
  CTX_ASSIGN_OR_RETURN(query_key_value_,
                       make(hidden, 3 * attention, kernels::Epilogue::kBias,
                            {ToPart(weights.query), ToPart(weights.key), ToPart(weights.value)}));
  // The biases of these two are added together with the residual.
  CTX_ASSIGN_OR_RETURN(attention_output_, make(attention, hidden, kernels::Epilogue::kNone,
                                               {ToPart(weights.attention_output)}));
  CTX_ASSIGN_OR_RETURN(up_, make(hidden, inner, ActivationEpilogue(config_.feed_forward.activation),
                                 {ToPart(weights.up)}));
  CTX_ASSIGN_OR_RETURN(down_,
                       make(inner, hidden, kernels::Epilogue::kNone, {ToPart(weights.down)}));
  return absl::OkStatus();
}

size_t FloatLayer::weight_bytes() const {
  return query_key_value_->weight_bytes() + attention_output_->weight_bytes() +
         up_->weight_bytes() + down_->weight_bytes();
}

void FloatLayer::Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                     FloatWorkspace& workspace) const {
  Attention(batch, workspace);
  int count = batch.num_tokens();
  if (!rows.empty()) {
    count = static_cast<int>(rows.size());
    GatherRows(rows, config_.hidden_size, workspace.hidden.data());
    GatherRows(rows, attention_size(), workspace.context.data());
  }
  for (int first = 0; first < count; first += kBlockRows) {
    FinishRows(first, std::min(kBlockRows, count - first), workspace);
  }
  if (workspace.observer != nullptr) workspace.observer->OnLayerOutput(workspace.hidden.data());
}

void FloatLayer::Attention(const PackedBatch& batch, FloatWorkspace& workspace) const {
  const float* input = workspace.hidden.data();
  if (pre_norm()) {
    kernels_.norm({input, nullptr, nullptr, attention_norm_.gamma.data(),
                   attention_norm_.beta.data(), workspace.projected.data(), batch.num_tokens(),
                   config_.hidden_size, config_.norm_epsilon});
    input = workspace.projected.data();
  }
  {
    const PartTimer timer(workspace.profile, Part::kQueryKeyValue);
    query_key_value_->Run(input, batch.num_tokens(), workspace.query_key_value.data());
  }
  const PartTimer timer(workspace.profile, Part::kAttention);
  const bool rotates = positions_.rotates();
  for (int sequence = 0; sequence < batch.num_sequences(); ++sequence) {
    if (rotates) RotateSequence(batch.offsets[sequence], batch.length(sequence), workspace);
    AttendSequence(batch.offsets[sequence], batch.length(sequence), workspace);
  }
}

void FloatLayer::RotateSequence(size_t first_token, int length, FloatWorkspace& workspace) const {
  const int size = attention_size();
  float* query = workspace.query_key_value.data() + first_token * 3 * size;
  positions_.RotateQueryKey({.query = query,
                             .key = query + size,
                             .length = length,
                             .num_heads = config_.attention.num_heads,
                             .head_size = config_.attention.head_size,
                             .stride = 3 * size});
}

void FloatLayer::AttendSequence(size_t first_token, int length, FloatWorkspace& workspace) const {
  const int size = attention_size();
  const float* query = workspace.query_key_value.data() + first_token * 3 * size;
  float* context = workspace.context.data() + first_token * size;
  const AttentionConfig& attention = config_.attention;
  const absl::Span<const float> slopes = positions_.slopes();
  for (int head = 0; head < attention.num_heads; ++head) {
    const int at = head * attention.head_size;
    const kernels::AttentionArgs args = {.query = query + at,
                                         .key = query + size + at,
                                         .value = query + 2 * size + at,
                                         .context = context + at,
                                         .query_length = length,
                                         .key_length = length,
                                         .head_size = attention.head_size,
                                         .stride = 3 * size,
                                         .context_stride = size,
                                         .scale = attention.scale,
                                         .causal = attention.causal,
                                         .scratch = workspace.attention_scratch.data(),
                                         .alibi_slope = slopes.empty() ? 0.0f : slopes[head]};
    kernels_.attention(args);
    if (workspace.observer != nullptr) workspace.observer->OnAttention(head, args);
  }
}

void FloatLayer::FinishRows(int first, int rows, FloatWorkspace& workspace) const {
  float* hidden = workspace.hidden.data() + static_cast<size_t>(first) * config_.hidden_size;
  float* projected = workspace.projected.data() + static_cast<size_t>(first) * config_.hidden_size;
  const float* context = workspace.context.data() + static_cast<size_t>(first) * attention_size();
  {
    const PartTimer timer(workspace.profile, Part::kAttentionOutput);
    attention_output_->Run(context, rows, projected);
  }
  {
    const PartTimer timer(workspace.profile, Part::kNorm);
    AddResidual(*attention_output_, attention_norm_, projected, hidden, rows);
  }
  if (workspace.observer != nullptr) workspace.observer->OnAttentionOutput(first, rows, hidden);
  FeedForward(hidden, projected, rows, workspace);
  const PartTimer timer(workspace.profile, Part::kNorm);
  AddResidual(*down_, output_norm_, projected, hidden, rows);
}

void FloatLayer::FeedForward(float* hidden, float* projected, int rows,
                             FloatWorkspace& workspace) const {
  const float* input = hidden;
  if (pre_norm()) {
    kernels_.norm({hidden, nullptr, nullptr, output_norm_.gamma.data(), output_norm_.beta.data(),
                   projected, rows, config_.hidden_size, config_.norm_epsilon});
    input = projected;
  }
  {
    const PartTimer timer(workspace.profile, Part::kFeedForwardUp);
    up_->Run(input, rows, workspace.intermediate.data());
  }
  const PartTimer timer(workspace.profile, Part::kFeedForwardDown);
  down_->Run(workspace.intermediate.data(), rows, projected);
}

void FloatLayer::AddResidual(const kernels::Linear& linear, const Norm& norm, float* projected,
                             float* hidden, int rows) const {
  if (pre_norm()) {
    kernels_.add({projected, linear.bias(), hidden, hidden, rows, config_.hidden_size});
  } else {
    kernels_.norm({projected, linear.bias(), hidden, norm.gamma.data(), norm.beta.data(), hidden,
                   rows, config_.hidden_size, config_.norm_epsilon});
  }
}

}  // namespace contexture::nn
