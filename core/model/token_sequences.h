#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace contexture {

using TokenSequences = std::vector<std::vector<uint32_t>>;

// Reads a file with one JSON array of token ids a line; each has at least one. INVALID_ARGUMENT
// names the line, or says that PATH is a directory; NOT_FOUND; DATA_LOSS: reading broke off.
absl::StatusOr<TokenSequences> ReadTokenSequences(const std::string& path);

}  // namespace contexture
