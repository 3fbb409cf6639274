#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace contexture {

struct NamedContents {
  std::string name;  // relative to the model directory
  absl::string_view contents;
};

// The SHA-256, in 64 hex digits, over names and contents of FILES. The order of FILES does not
// matter; no two different sets of files are hashed as the same bytes. INTERNAL: OpenSSL fails.
absl::StatusOr<std::string> Fingerprint(absl::Span<const NamedContents> files);

}  // namespace contexture
