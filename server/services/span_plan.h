#pragma once

#include <string>

#include "absl/status/status.h"
#include "contexture/v1/encoder.pb.h"
#include "server/services/request_plan.h"

namespace contexture {

// Fills PLANNED.spans for the outputs of PLAN from INPUT, which is at FIELD ("inputs[3]"), and from
// the windows of the outputs. PLANNED has its tokens already. INVALID_ARGUMENT: more than
// kMaxSpans, spans that no output is of, an output without spans, a span that is empty, outside the
// input or without a token, bytes of an input that is not a single text.
absl::Status PlanSpans(const v1::Input& input, const std::string& field, const RequestPlan& plan,
                       PlannedInput& planned);

}  // namespace contexture
