#include "core/engine/flops.h"

#include "core/kernels/gemm_rate.h"

namespace contexture {

double EncodeFlops(const EncoderConfig& config, int length) {
  const double hidden = config.hidden_size;
  const double attention =
      static_cast<double>(config.attention.num_heads) * config.attention.head_size;
  const double linear =
      2.0 * hidden * (4.0 * attention + 2.0 * config.feed_forward.intermediate_size);
  const double scores = 4.0 * attention * length;
  return config.num_layers * length * (linear + scores);
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
