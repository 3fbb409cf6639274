#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace contexture::test_support {

// A fresh, empty directory that is removed with everything in it at the end of the scope.
class TemporaryDirectory {
 public:
  TemporaryDirectory();  // aborts when no directory can be made
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  // path()/NAME.
  std::string File(absl::string_view name) const;

 private:
  std::string path_;
};

// Writes CONTENTS to PATH, replacing it; makes the directories above it. INTERNAL: it cannot be
// written.
absl::Status WriteFile(absl::string_view path, absl::string_view contents);

}  // namespace contexture::test_support
