#include "core/model/token_sequences.h"

#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace contexture {
namespace {

absl::StatusOr<std::ifstream> Open(const std::string& path) {
  // A stream opens a directory, and fails only when it reads.
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is a directory, not a file"));
  }
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  return file;
}

// The ids of one line; none: it is no array of them.
std::vector<uint32_t> ReadIds(const std::string& line) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  std::vector<uint32_t> ids;
  if (!json.is_array()) return ids;
  for (const nlohmann::json& id : json) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > UINT32_MAX) return {};
    ids.push_back(id.get<uint32_t>());
  }
  return ids;
}

}  // namespace

absl::StatusOr<TokenSequences> ReadTokenSequences(const std::string& path) {
  CTX_ASSIGN_OR_RETURN(std::ifstream file, Open(path));
  TokenSequences sequences;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line == "\r") continue;
    std::vector<uint32_t> ids = ReadIds(line);
    if (ids.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": not a JSON array of token ids"));
    }
    sequences.push_back(std::move(ids));
  }
  if (file.bad()) {
    return absl::DataLossError(absl::StrCat(path, " cannot be read beyond line ", number));
  }
  if (sequences.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " holds no sequence"));
  }
  return sequences;
}

}  // namespace contexture
