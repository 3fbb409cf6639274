#include "core/model/token_sequences.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace contexture {

absl::StatusOr<TokenSequences> ReadTokenSequences(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  TokenSequences sequences;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty()) continue;
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    bool valid = json.is_array() && !json.empty();
    std::vector<uint32_t> ids;
    for (size_t i = 0; valid && i < json.size(); ++i) {
      valid = json[i].is_number_unsigned() && json[i].get<uint64_t>() <= UINT32_MAX;
      if (valid) ids.push_back(json[i].get<uint32_t>());
    }
    if (!valid) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": not a JSON array of token ids"));
    }
    sequences.push_back(std::move(ids));
  }
  if (sequences.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " holds no sequence"));
  }
  return sequences;
}

}  // namespace contexture
