#pragma once

#include <cstdint>
#include <ostream>
#include <vector>

#include "absl/status/status.h"
#include "contexture/v1/encoder.pb.h"

namespace contexture::cli {

// What Inspect has to select so that PrintSteps can show the head.
std::vector<v1::InspectSelection> StepSelections(uint32_t layer, uint32_t head);

// The self-attention of one head, step by step with its numbers: input, query, key and value,
// scores, weights, context, and for one pair of tokens each step as a sum that a person can check.
// `response` answers StepSelections. INTERNAL: it does not.
absl::Status PrintSteps(const v1::InspectResponse& response, std::ostream& out);

}  // namespace contexture::cli
