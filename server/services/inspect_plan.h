#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "contexture/v1/encoder.pb.h"
#include "core/engine/inspection.h"
#include "server/services/request_plan.h"
#include "server/services/served_model.h"

// Pure functions from an InspectRequest to what is to be computed.

namespace contexture {

inline constexpr int kMaxSelections = 64;

struct InspectPlan {
  std::vector<InspectItem> items;  // in range; without destinations
  RequestPlan input_plan;          // how the input is cut
  bool needs_input = false;        // some item is of an input
  bool needs_tokenizer = false;    // and that is text
};

// Everything but the input. INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION (the precision keeps
// nothing to show).
absl::StatusOr<InspectPlan> PlanInspect(const v1::InspectRequest& request,
                                        const ServedModel& model);

// What the answer takes on the wire with an input of LENGTH tokens, an upper bound.
// INVALID_ARGUMENT: it is larger than a message may be; names both sizes.
absl::StatusOr<int64_t> InspectBytes(const InspectPlan& plan, int length, const ServedModel& model);

// Adds a tensor for each item to RESPONSE and sets the items' destinations in it.
void LayOut(const ServedModel& model, int length, std::vector<InspectItem>& items,
            v1::InspectResponse& response);

}  // namespace contexture
