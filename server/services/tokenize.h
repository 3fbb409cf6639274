#pragma once

#include <atomic>

#include "absl/status/status.h"
#include "contexture/v1/encoder.pb.h"
#include "server/services/served_model.h"

namespace contexture {

// Answers a TokenizeRequest. Blocks for the tokenization. INVALID_ARGUMENT: no texts, too many, an
// empty or too large text, or an answer larger than a message; NOT_FOUND: no such model;
// FAILED_PRECONDITION: the model has no tokenizer; CANCELLED: CANCELLED was set meanwhile.
absl::Status TokenizeTexts(const v1::TokenizeRequest& request, const ServedModel& model,
                           const std::atomic<bool>& cancelled, v1::TokenizeResponse& response);

}  // namespace contexture
