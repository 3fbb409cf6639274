#pragma once

#include <deque>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/fingerprint.h"
#include "core/model/mapped_file.h"

namespace contexture {

// The files of one model directory. What was read stays mapped, so that the fingerprint is of the
// bytes that were used. Not thread safe.
class ModelFiles {
 public:
  // NOT_FOUND: no such directory. INVALID_ARGUMENT: it is something else.
  static absl::StatusOr<ModelFiles> Open(absl::string_view directory);

  const std::string& directory() const { return directory_; }
  std::string Path(absl::string_view name) const;
  bool Exists(absl::string_view name) const;
  // The contents of NAME, relative to the directory; valid as long as this object. NOT_FOUND,
  // INVALID_ARGUMENT: as MappedFile.
  absl::StatusOr<absl::string_view> Read(absl::string_view name, bool fingerprinted = true);
  // All that was read so far, but what is not to be in the fingerprint.
  const std::vector<NamedContents>& contents() const { return contents_; }

 private:
  explicit ModelFiles(std::string directory) : directory_(std::move(directory)) {}

  std::string directory_;
  std::deque<MappedFile> files_;
  std::vector<NamedContents> contents_;
};

}  // namespace contexture
