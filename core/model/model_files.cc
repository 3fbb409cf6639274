#include "core/model/model_files.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace contexture {

absl::StatusOr<ModelFiles> ModelFiles::Open(absl::string_view directory) {
  std::error_code error;
  const std::filesystem::file_status status =
      std::filesystem::status(std::string(directory), error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return absl::NotFoundError(absl::StrCat("model directory ", directory, " does not exist"));
  }
  if (!std::filesystem::is_directory(status)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model directory ", directory, error ? ": " + error.message() : " is not a directory"));
  }
  return ModelFiles(std::string(directory));
}

std::string ModelFiles::Path(absl::string_view name) const {
  return absl::StrCat(directory_, "/", name);
}

bool ModelFiles::Exists(absl::string_view name) const {
  std::error_code error;
  // What cannot be examined exists as far as known: reading it will report why.
  return std::filesystem::status(Path(name), error).type() != std::filesystem::file_type::not_found;
}

absl::StatusOr<absl::string_view> ModelFiles::Read(absl::string_view name, bool fingerprinted) {
  CTX_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(Path(name)));
  files_.push_back(std::move(file));
  const absl::string_view contents = files_.back().contents();
  if (fingerprinted) contents_.push_back({.name = std::string(name), .contents = contents});
  return contents;
}

}  // namespace contexture
