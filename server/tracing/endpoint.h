#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace contexture {

// GIVEN, or what OpenTelemetry's environment variables say; empty: no traces are wanted.
// INVALID_ARGUMENT: it begins neither with http:// nor with https://; names it.
absl::StatusOr<std::string> TracesEndpoint(const std::string& given);

}  // namespace contexture
