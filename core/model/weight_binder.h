#pragma once

#include "absl/status/statusor.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/model/safetensors.h"

namespace contexture {

// Finds every weight of CONFIG's encoder in FILE by name and checks its shape and data type (F32).
// A family's tensor names, and the tensors of a file that its encoder does not use, stand in one
// table in weight_binder.cc. The views live as long as FILE. INVALID_ARGUMENT: FILE does not hold
// what CONFIG describes; the message lists all that is missing, of another shape or type, or
// superfluous (cut after 20). FAILED_PRECONDITION: only data types differ.
absl::StatusOr<EncoderWeights> BindWeights(const Safetensors& file, const EncoderConfig& config);

}  // namespace contexture
