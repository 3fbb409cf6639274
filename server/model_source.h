#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/options.h"

namespace contexture {

// A model to serve: what requests call it, and where it lies.
struct ModelSource {
  std::string name;
  std::string directory;

  bool operator==(const ModelSource&) const = default;
};

// What options.model says: DIRECTORY or NAME=DIRECTORY, several of them with commas between. The
// first is the default model. One without a name is called options.model_name if it is the first
// and that is not empty, else as the last part of its path. INVALID_ARGUMENT: no model, no
// directory, a name that CheckNewModelName refuses, or one that occurs twice.
absl::StatusOr<std::vector<ModelSource>> ModelSources(const ServerOptions& options);

// INVALID_ARGUMENT: NAME is empty, has more than 128 bytes, or one that is not printable ASCII, or
// '=' or ','.
absl::Status CheckNewModelName(absl::string_view name);

}  // namespace contexture
