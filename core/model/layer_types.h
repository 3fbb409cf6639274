#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/model/encoder_config.h"
#include "core/model/json_reader.h"

namespace contexture {

// How layers with and without a window alternate where "layer_types" is absent: layer i has none
// when i % period == full.
struct LayerPattern {
  absl::string_view period_field = "";  // a field that holds the period
  int period = 1;                       // when that is absent
  int full = 0;                         // period - 1 when negative
};

// Sets attention.local from "layer_types" (of "full_attention" and "sliding_attention"), else from
// PATTERN. INVALID_ARGUMENT: a wrong type or number. FAILED_PRECONDITION: another kind of layer.
absl::Status ReadLayerTypes(const Json& json, const LayerPattern& pattern, EncoderConfig& config);

}  // namespace contexture
