#include "server/model_source.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"

namespace contexture {
namespace {

constexpr size_t kMaxNameBytes = 128;

std::string LastPart(const std::string& directory) {
  // lexically_normal keeps the empty last part of "models/bert/".
  std::error_code error;
  const auto path = std::filesystem::absolute(directory, error).lexically_normal();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

// A '=' after a '/' is of the directory.
ModelSource Parse(absl::string_view text) {
  const size_t equals = text.find('='), slash = text.find('/');
  if (equals == absl::string_view::npos || slash < equals) return {"", std::string(text)};
  return {std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

}  // namespace

absl::Status CheckNewModelName(absl::string_view name) {
  const auto allowed = [](char c) {
    return absl::ascii_isprint(static_cast<unsigned char>(c)) && c != '=' && c != ',';
  };
  if (!name.empty() && name.size() <= kMaxNameBytes &&
      std::all_of(name.begin(), name.end(), allowed)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("a model's name has 1 to %d printable ASCII characters other than '=' and "
                      "','; this one has %d bytes",
                      kMaxNameBytes, name.size()));
}

absl::StatusOr<std::vector<ModelSource>> ModelSources(const ServerOptions& options) {
  std::vector<ModelSource> sources;
  std::set<std::string> names;
  for (absl::string_view part : absl::StrSplit(options.model, ',')) {
    ModelSource source = Parse(absl::StripAsciiWhitespace(part));
    if (source.directory.empty()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("model %d of '%s' has no directory", sources.size() + 1, options.model));
    }
    if (source.name.empty() && sources.empty()) source.name = options.model_name;
    if (source.name.empty()) source.name = LastPart(source.directory);
    CTX_RETURN_IF_ERROR(CheckNewModelName(source.name));
    if (!names.insert(source.name).second) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "two models have the name '%s': give them names as in NAME=DIRECTORY", source.name));
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

}  // namespace contexture
