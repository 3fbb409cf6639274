#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace contexture {

// Values of flags as people write them. All return INVALID_ARGUMENT naming the value and what is
// allowed.

// A decimal number in [min, max].
absl::StatusOr<int64_t> ParseNumber(absl::string_view value, int64_t min, int64_t max);
// A number of bytes in [min, max], with an optional KiB, MiB or GiB.
absl::StatusOr<int64_t> ParseBytes(absl::string_view value, int64_t max, int64_t min = 1);
// "500ms", "30s", "15m", "1h30m"; not negative, finite.
absl::StatusOr<absl::Duration> ParseTimeSpan(absl::string_view value);
// true, false, on, off.
absl::StatusOr<bool> ParseBool(absl::string_view value);
// "HOST:PORT" with a port in [0, 65535]; the host may be "[::]".
absl::StatusOr<std::string> ParseAddress(absl::string_view value);

// "64MiB" rather than 67108864, where it is exact.
std::string FormatBytes(int64_t bytes);

}  // namespace contexture
