#include "core/engine/flops.h"

#include <algorithm>

#include "core/kernels/gemm_rate.h"

namespace contexture {

namespace {

// The scores of one head that a layer's softmax takes.
double ScoresPerHead(const AttentionConfig& attention, int layer, int length) {
  const int window = attention.LayerWindow(layer) == 0 ? length : attention.LayerWindow(layer);
  double scores = 0;
  for (int query = 0; query < length; ++query) {
    const int before = std::min(query, window), after = std::min(length - 1 - query, window);
    scores += 1 + before + (attention.causal ? 0 : after);
  }
  return scores;
}

}  // namespace

double EncodeFlops(const EncoderConfig& config, int length) {
  const double hidden = config.hidden_size;
  const double query = config.attention.query_size(), key = config.attention.key_size();
  const double feed_forward =
      (config.feed_forward.gated ? 3.0 : 2.0) * config.feed_forward.intermediate_size;
  const double linear = 2.0 * hidden * (2.0 * query + 2.0 * key + feed_forward);
  double flops = 2.0 * length * hidden * hidden * config.convolution.size;
  const DisentangledConfig& disentangled = config.attention.disentangled;
  // Each query meets each position key in use, each key each position query.
  const int kinds = int{disentangled.content_to_position} + int{disentangled.position_to_content};
  const double relative = 1.0 * kinds * std::min(disentangled.num_rows, 2 * length - 1);
  if (config.embedding.projection) flops += 2.0 * length * config.embedding.size * hidden;
  for (int layer = 0; layer < config.num_layers; ++layer) {
    flops += length * (linear + 2.0 * query * relative) +
             4.0 * query * ScoresPerHead(config.attention, layer, length);
  }
  return flops;
}

absl::StatusOr<double> MeasureGemmLimit(Precision precision, double seconds) {
  switch (precision) {
    case Precision::kFloat32:
      return kernels::MeasureGemmRate(kernels::GemmKind::kFloat, seconds);
    case Precision::kFloat32Split:
      return kernels::MeasureGemmRate(kernels::GemmKind::kSplit, seconds);
    case Precision::kBfloat16:
      return kernels::MeasureGemmRate(kernels::GemmKind::kBf16, seconds);
    case Precision::kInt8:
      return kernels::MeasureGemmRate(kernels::GemmKind::kInt8, seconds);
  }
  return absl::InternalError("unknown precision");
}

}  // namespace contexture
