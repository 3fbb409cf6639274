#pragma once

#include "absl/status/statusor.h"

namespace contexture::kernels {

enum class GemmKind { kFloat, kSplit, kBf16, kInt8 };

// Floating-point operations per second that this thread's core reaches in the linear layers' own
// kernels when everything lies in its caches: 128 x 384 x 384 on random data (zeros would flatter
// the tile unit), the best of several rounds within `seconds`. An upper limit for whole models.
// FAILED_PRECONDITION: the CPU lacks what the kind needs.
absl::StatusOr<double> MeasureGemmRate(GemmKind kind, double seconds);

}  // namespace contexture::kernels
