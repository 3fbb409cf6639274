#pragma once

#include <atomic>

#include "absl/status/status.h"
#include "contexture/v1/encoder.pb.h"
#include "server/services/memory_budget.h"
#include "server/services/served_model.h"

namespace contexture {

struct TokenizeJob {
  const v1::TokenizeRequest& request;
  const ServedModel& model;
  const std::atomic<bool>& cancelled;
  MemoryLease& memory;  // grows with the answer
};

// Answers a TokenizeRequest. Blocks for the tokenization. INVALID_ARGUMENT: no texts, too many, an
// empty or too large text, or an answer larger than a message; NOT_FOUND: no such model;
// FAILED_PRECONDITION: the model has no tokenizer; CANCELLED: `cancelled` was set meanwhile;
// RESOURCE_EXHAUSTED: the calls under way leave no memory for the answer.
absl::Status TokenizeTexts(const TokenizeJob& job, v1::TokenizeResponse& response);

}  // namespace contexture
