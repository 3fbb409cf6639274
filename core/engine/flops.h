#pragma once

#include "absl/status/statusor.h"
#include "core/engine/engine.h"

namespace contexture {

// Floating-point operations that the vectors of `length` tokens need: the linear layers and
// attention of each token to those that it sees. Padding never counts.
double EncodeFlops(const EncoderConfig& config, int length);

// Operations per second that one core reaches in the precision's product kernels, see
// kernels/gemm_rate.h.
absl::StatusOr<double> MeasureGemmLimit(Precision precision, double seconds);

}  // namespace contexture
