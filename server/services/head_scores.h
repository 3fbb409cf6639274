#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "contexture/v1/tasks.pb.h"
#include "core/model/head_config.h"

namespace contexture {

// The floats of an output that the engine wrote.
std::vector<float> FloatsOf(absl::string_view output);

// INVALID_ARGUMENT: an unknown value.
absl::StatusOr<ScoreFunction> ResolveScoreFunction(v1::ScoreFunction function,
                                                   ScoreFunction model_default);

// Scores of the logits VALUES, in place.
void ApplyScoreFunction(ScoreFunction function, absl::Span<float> values);

// The indices of the COUNT highest of SCORES, the highest first; of equal ones the smaller first.
std::vector<uint32_t> Highest(absl::Span<const float> scores, size_t count);

}  // namespace contexture
