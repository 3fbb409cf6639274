#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/encoder_config.h"

namespace contexture {

// Reads the text of a config.json. Each family (`model_type`) has its field names in a
// file of its own (config_family.h); one is added there and in weight_binder.cc.
// INVALID_ARGUMENT: no valid JSON, a required field is absent, a value has the wrong type or an
// impossible size. FAILED_PRECONDITION: a family, field or value that this version does not
// compute, named with its value. Fields that cannot change the computation are ignored by name; no
// other field is.
absl::StatusOr<EncoderConfig> ReadEncoderConfig(absl::string_view json_text);

}  // namespace contexture
