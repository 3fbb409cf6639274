#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace contexture {

// A regular file mapped into memory, read-only, for as long as the object lives. Thread safe.
// Whoever replaces the file must rename a new one over it: reading a mapped file that was cut short
// ends the process with SIGBUS.
class MappedFile {
 public:
  // NOT_FOUND: no such file. INVALID_ARGUMENT: it is no regular file or cannot be read or mapped.
  // Both name PATH.
  static absl::StatusOr<MappedFile> Open(absl::string_view path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::string& path() const { return path_; }
  // Empty for an empty file.
  absl::string_view contents() const { return {data_, size_}; }
  // Gives the pages read so far back to the kernel; contents() stays valid and is read again when
  // used.
  void ReleasePages() const;

 private:
  MappedFile(std::string path, const char* data, size_t size);

  std::string path_;
  const char* data_ = nullptr;  // null: empty or moved from
  size_t size_ = 0;
};

}  // namespace contexture
