#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "contexture/v1/encoder.pb.h"
#include "core/nn/attend.h"
#include "server/services/served_model.h"

// Pure functions from an AttendRequest to what is to be computed.

namespace contexture {

// Most rows of queries and of keys.
inline constexpr int kMaxAttendRows = 16384;
// Most products of a request (nn::AttendProducts): some seconds of one core.
inline constexpr double kMaxAttendProducts = 4e11;

// Projected vectors and contexts take at most this many messages of the largest size.
inline constexpr int kMaxBetween = 4;

// The request's shapes, found to agree.
struct AttendPlan {
  // Shapes, heads, causality and scale are set; data, biases and destinations are not.
  nn::AttendArgs args;
  int context_columns = 0;
  // What it costs, as tokens of the model that is served.
  int64_t tokens = 0;
  int64_t answer_bytes = 0;   // on the wire, an upper bound
  int64_t between_bytes = 0;  // of projected vectors and contexts, which no message holds
};

// INVALID_ARGUMENT: a tensor is missing, of another type or shape than the others ask for, not as
// long as its shape, the answer would be larger than a message may be, the projected vectors larger
// than kMaxBetween messages, or the products more than kMaxAttendProducts. Looks at no element.
absl::StatusOr<AttendPlan> PlanAttend(const v1::AttendRequest& request, const ServedModel& model);

}  // namespace contexture
