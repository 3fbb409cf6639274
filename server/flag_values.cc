#include "server/flag_values.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace contexture {
namespace {

struct Unit {
  const char* suffix;
  int64_t bytes;
};
constexpr Unit kUnits[] = {{"GiB", int64_t{1} << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}};

}  // namespace

absl::StatusOr<int64_t> ParseNumber(absl::string_view value, int64_t min, int64_t max) {
  int64_t number = 0;
  if (absl::SimpleAtoi(value, &number) && number >= min && number <= max) return number;
  return absl::InvalidArgumentError(
      absl::StrFormat("'%s' is not a number from %d to %d", value, min, max));
}

absl::StatusOr<int64_t> ParseBytes(absl::string_view value, int64_t max, int64_t min) {
  absl::string_view digits = value;
  int64_t unit = 1;
  for (const Unit& candidate : kUnits) {
    if (absl::ConsumeSuffix(&digits, candidate.suffix)) {
      unit = candidate.bytes;
      break;
    }
  }
  int64_t number = 0;
  if (absl::SimpleAtoi(digits, &number) && number >= min && number <= max / unit) {
    return number * unit;
  }
  return absl::InvalidArgumentError(absl::StrFormat(
      "'%s' is not a size from %d to %s such as 65536 or 64MiB", value, min, FormatBytes(max)));
}

absl::StatusOr<absl::Duration> ParseTimeSpan(absl::string_view value) {
  absl::Duration span;
  if (absl::ParseDuration(value, &span) && span >= absl::ZeroDuration() &&
      span < absl::InfiniteDuration()) {
    return span;
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("'%s' is not a time such as 500ms, 30s or 15m", value));
}

absl::StatusOr<bool> ParseBool(absl::string_view value) {
  if (value == "true" || value == "on") return true;
  if (value == "false" || value == "off") return false;
  return absl::InvalidArgumentError(absl::StrFormat("'%s' is neither true nor false", value));
}

absl::StatusOr<std::string> ParseAddress(absl::string_view value) {
  const size_t colon = value.rfind(':');
  if (colon != absl::string_view::npos && colon > 0 &&
      ParseNumber(value.substr(colon + 1), 0, 65535).ok()) {
    return std::string(value);
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("'%s' is not an address such as 0.0.0.0:50051 or [::]:50051", value));
}

std::string FormatBytes(int64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes >= unit.bytes && bytes % unit.bytes == 0) {
      return absl::StrCat(bytes / unit.bytes, unit.suffix);
    }
  }
  return absl::StrCat(bytes);
}

}  // namespace contexture
