#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace contexture {

using Json = nlohmann::json;

// What a JSON text may cost at most. The defaults suit configuration files.
struct JsonLimits {
  size_t max_bytes = size_t{16} << 20;
  int max_depth = 64;                   // nested arrays and objects
  size_t max_values = size_t{1} << 21;  // of any kind, containers included
};

// Parses a JSON text that is not trusted. WHAT names it in messages. INVALID_ARGUMENT: over a
// limit, not valid JSON in UTF-8, or a key that occurs twice in one object.
absl::StatusOr<Json> ParseJson(absl::string_view text, absl::string_view what,
                               const JsonLimits& limits = {});
// The same, and INVALID_ARGUMENT when the text is not an object.
absl::StatusOr<Json> ParseJsonObject(absl::string_view text, absl::string_view what,
                                     const JsonLimits& limits = {});

// A name from a file for a message: in single quotes, escaped, cut when long.
std::string Quote(absl::string_view name);
// A JSON value for a message, cut when long.
std::string Show(const Json& value);

}  // namespace contexture
