#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/services/status_mapping.h"

namespace contexture {

// FIELD has the value GOT, and MAX is the most that it may be.
inline Culprit GotAndMax(absl::string_view field, int64_t got, int64_t max) {
  return {std::string(field), {{"got", absl::StrCat(got)}, {"max", absl::StrCat(max)}}};
}

// FIELD has a value of an enum whose largest is MAX.
inline absl::Status UnknownEnumValue(absl::string_view field, int value, int max) {
  return MakeError(ErrorReason::kUnknownEnumValue,
                   absl::StrFormat("%d is not known, the largest known value is %d", value, max),
                   GotAndMax(field, value, max));
}

}  // namespace contexture
