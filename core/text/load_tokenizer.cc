#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/text/huggingface_tokenizer.h"
#include "core/text/tokenizer.h"

namespace contexture {
namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  constexpr int64_t kLargestFile = int64_t{1} << 30;
  struct stat file = {};
  if (stat(path.c_str(), &file) != 0) {
    const std::string message = absl::StrCat("cannot open ", path, ": ", std::strerror(errno));
    return errno == ENOENT || errno == ENOTDIR ? absl::NotFoundError(message)
                                               : absl::InvalidArgumentError(message);
  }
  if (!S_ISREG(file.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  if (file.st_size > kLargestFile) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", file.st_size, " bytes, ", kLargestFile, " are allowed"));
  }
  std::string contents(static_cast<size_t>(file.st_size), '\0');
  std::ifstream stream(path, std::ios::binary);
  if (!stream.read(contents.data(), static_cast<std::streamsize>(contents.size()))) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read all of ", path));
  }
  return contents;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path,
                                                         absl::Span<const std::string> markers) {
  CTX_ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
  absl::StatusOr<std::unique_ptr<HuggingFaceTokenizer>> tokenizer =
      HuggingFaceTokenizer::FromJson(json, markers);
  if (tokenizer.ok()) return *std::move(tokenizer);
  return absl::InvalidArgumentError(
      absl::StrCat(path, " is not a usable tokenizer: ", tokenizer.status().message()));
}

}  // namespace contexture
