#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/model/encoder_config.h"
#include "core/model/json_reader.h"

namespace contexture {

// The fields that describe rotary positions, in the spelling of transformers 5 ("rope_parameters")
// and in the older one ("rope_theta", "rope_scaling"). A theta of the older one holds where
// "rope_parameters" has none; "rope_scaling" beside "rope_parameters" is refused, and so are values
// beside the objects of layer types.

// What a family calls them, and its default.
struct RotaryFields {
  absl::string_view theta = "rope_theta";  // the older spelling's; empty: it has none
  double default_theta = 10000.0;
  absl::string_view layer_type = "";  // the key in "rope_parameters"; empty: it is not nested
  bool scaled = true;                 // whether "rope_scaling" applies
};

// Reads them into ROTARY. INVALID_ARGUMENT: a wrong type or an impossible value.
// FAILED_PRECONDITION: a field or a kind of scaling that is not computed.
absl::Status ReadRotary(const Json& json, const RotaryFields& fields, RotaryConfig& rotary);

// INVALID_ARGUMENT: heads of CONFIG have an odd size, which rotary positions cannot pair.
absl::Status CheckRotaryHeads(const EncoderConfig& config);

}  // namespace contexture
