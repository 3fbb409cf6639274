#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/json.h"

namespace contexture::cli {

// What the model directory DIRECTORY is, what would be computed of it, and what that takes: memory
// of the packed weights, and the texts per second that a core's products allow (not of a model
// with a decoder). Loads no weights; measures the core for a fraction of a second. The codes of
// LoadModelDirectory.
absl::StatusOr<Json> CheckModel(const std::string& directory);

}  // namespace contexture::cli
