#include "core/nn/float_decoder_layer.h"

#include "core/base/status_macros.h"
#include "core/nn/kernel_types.h"

namespace contexture::nn {

FloatDecoderLayer::FloatDecoderLayer(const LayerContext& context,
                                     const DecoderLayerWeights& weights)
    : context_(context),
      config_(context.config.attention),
      kernels_(kernels::GetVectorKernels(context.isa)),
      self_residual_(context, weights.self.attention_norm),
      cross_residual_(context, weights.cross_norm),
      feed_forward_residual_(context, weights.self.output_norm),
      self_attention_(context, weights.self),
      feed_forward_(context) {}

absl::StatusOr<std::unique_ptr<FloatDecoderLayer>> FloatDecoderLayer::Create(
    const LayerContext& context, const DecoderLayerWeights& weights) {
  std::unique_ptr<FloatDecoderLayer> layer(new FloatDecoderLayer(context, weights));
  CTX_RETURN_IF_ERROR(layer->Init(weights));
  return layer;
}

absl::Status FloatDecoderLayer::Init(const DecoderLayerWeights& weights) {
  CTX_RETURN_IF_ERROR(self_attention_.Init(weights.self));
  CTX_RETURN_IF_ERROR(feed_forward_.Init(weights.self));
  const int hidden = context_.config.hidden_size, size = config_.query_size();
  // The biases of the outputs are added together with the residuals.
  const LinearShape output = {size, hidden, kernels::Epilogue::kNone};
  CTX_ASSIGN_OR_RETURN(self_output_,
                       MakeFloatLinear(context_, output, {ToPart(weights.self.attention_output)}));
  CTX_ASSIGN_OR_RETURN(cross_output_,
                       MakeFloatLinear(context_, output, {ToPart(weights.cross_output)}));
  CTX_ASSIGN_OR_RETURN(key_value_,
                       MakeFloatLinear(context_, {hidden, 2 * size, kernels::Epilogue::kBias},
                                       {ToPart(weights.cross_key), ToPart(weights.cross_value)}));
  // The attention kernel takes queries, keys and values at one stride.
  CTX_ASSIGN_OR_RETURN(query_, kernels::MakeLinear(context_.backend,
                                                   {.in_features = hidden,
                                                    .out_features = size,
                                                    .input_stride = hidden,
                                                    .output_stride = 2 * size,
                                                    .epilogue = kernels::Epilogue::kBias,
                                                    .isa = context_.isa},
                                                   {ToPart(weights.cross_query)}));
  return absl::OkStatus();
}

size_t FloatDecoderLayer::weight_bytes() const {
  return self_attention_.weight_bytes() + self_output_->weight_bytes() + query_->weight_bytes() +
         key_value_->weight_bytes() + cross_output_->weight_bytes() + feed_forward_.weight_bytes();
}

void FloatDecoderLayer::Run(const PackedBatch& target, const PackedBatch& source,
                            FloatWorkspace& workspace) const {
  AttendToTarget(target, workspace);
  AttendToSource(target, source, workspace);
  workspace.ForEachBlock(target.num_tokens(),
                         [&](int first, int rows) { FeedForward(first, rows, workspace); });
}

void FloatDecoderLayer::AttendToTarget(const PackedBatch& target, FloatWorkspace& workspace) const {
  const int tokens = target.num_tokens();
  float* hidden = workspace.hidden.data();
  float* projected = workspace.projected.data();
  self_attention_.Run(target, self_residual_.Input(hidden, projected, tokens), workspace);
  self_output_->Run(workspace.context.data(), tokens, projected);
  self_residual_.Add(self_output_->bias(), projected, hidden, tokens);
}

void FloatDecoderLayer::AttendToSource(const PackedBatch& target, const PackedBatch& source,
                                       FloatWorkspace& workspace) const {
  const int tokens = target.num_tokens();
  float* hidden = workspace.hidden.data();
  float* projected = workspace.projected.data();
  query_->Run(cross_residual_.Input(hidden, projected, tokens), tokens,
              workspace.query_key_value.data());
  key_value_->Run(workspace.memory.data(), source.num_tokens(), workspace.memory_key_value.data());
  for (int sequence = 0; sequence < target.num_sequences(); ++sequence) {
    AttendSequence(target, source, sequence, workspace);
  }
  cross_output_->Run(workspace.context.data(), tokens, projected);
  cross_residual_.Add(cross_output_->bias(), projected, hidden, tokens);
}

void FloatDecoderLayer::AttendSequence(const PackedBatch& target, const PackedBatch& source,
                                       int sequence, FloatWorkspace& workspace) const {
  const int size = config_.query_size(), stride = 2 * size;
  const size_t first = target.offsets[sequence], source_first = source.offsets[sequence];
  for (int head = 0; head < config_.num_heads; ++head) {
    const size_t at = static_cast<size_t>(head) * config_.head_size;
    const float* key = workspace.memory_key_value.data() + source_first * stride + at;
    kernels_.attention({.query = workspace.query_key_value.data() + first * stride + at,
                        .key = key,
                        .value = key + size,
                        .context = workspace.context.data() + first * size + at,
                        .query_length = target.length(sequence),
                        .key_length = source.length(sequence),
                        .head_size = config_.head_size,
                        .stride = stride,
                        .context_stride = size,
                        .scale = config_.scale,
                        .causal = false,
                        .scratch = workspace.attention_scratch.data()});
  }
}

void FloatDecoderLayer::FeedForward(int first, int rows, FloatWorkspace& workspace) const {
  const size_t at = static_cast<size_t>(first) * context_.config.hidden_size;
  float* hidden = workspace.hidden.data() + at;
  float* projected = workspace.projected.data() + at;
  const float* input = feed_forward_residual_.Input(hidden, projected, rows);
  feed_forward_.Run(input, rows, projected, workspace);
  feed_forward_residual_.Add(feed_forward_.bias(), projected, hidden, rows);
}

}  // namespace contexture::nn
