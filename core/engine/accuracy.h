#pragma once

#include "absl/status/statusor.h"
#include "core/engine/engine.h"

namespace contexture {

// Encodes built-in probes (pseudo-random token sequences of 1 to 128 tokens, the same on every
// machine) with both engines and compares. The engines must be of the same model. INTERNAL: a
// result of the candidate is not finite.
absl::StatusOr<Accuracy> MeasureAccuracy(const Engine& reference, const Engine& candidate);

}  // namespace contexture
