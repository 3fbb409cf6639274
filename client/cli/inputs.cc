#include "client/cli/inputs.h"

#include <cstdint>
#include <fstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/utf8.h"

namespace contexture::cli {
namespace {

std::vector<std::string> ReadLines(std::istream& stream) {
  std::vector<std::string> lines;
  std::string line;
  while (std::getline(stream, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(std::move(line));
  }
  return lines;
}

// The source's texts, unchecked.
absl::StatusOr<std::vector<std::string>> Collect(const InputSource& source, Terminal& terminal) {
  if (!source.texts.empty() && !source.file.empty()) {
    return absl::InvalidArgumentError("texts are given both as arguments and by --file: use one");
  }
  if (!source.texts.empty()) return source.texts;
  if (source.file.empty() && terminal.in_is_terminal) {
    return absl::InvalidArgumentError("no text: give texts as arguments, --file or standard input");
  }
  if (source.file.empty() || source.file == "-") return ReadLines(terminal.in);
  std::ifstream file(source.file);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read the file '", source.file, "'"));
  return ReadLines(file);
}

absl::StatusOr<v1::Input> ParseIds(const std::string& list) {
  v1::Input input;
  for (absl::string_view part : absl::StrSplit(list, ',')) {
    uint32_t id = 0;
    if (!absl::SimpleAtoi(part, &id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--ids: '", part, "' is not a token id (0 to 4294967295)"));
    }
    input.mutable_token_ids()->add_ids(id);
  }
  return input;
}

}  // namespace

void AddTextOptions(CLI::App& app, InputSource& source) {
  app.add_option("texts", source.texts,
                 "the texts; without them, lines of --file or standard input");
  app.add_option("--file", source.file, "file with one text a line; - is standard input");
}

void AddIdsOption(CLI::App& app, InputSource& source) {
  app.add_option("--ids", source.ids, "token ids instead of text, as 101,7592,102; once per input")
      ->allow_extra_args(false);
}

absl::StatusOr<std::vector<std::string>> ReadTexts(const InputSource& source, Terminal& terminal) {
  absl::StatusOr<std::vector<std::string>> texts = Collect(source, terminal);
  if (!texts.ok()) return texts;
  if (texts->empty()) return absl::InvalidArgumentError("no text: the input is empty");
  for (size_t i = 0; i < texts->size(); ++i) {
    if (!IsUtf8((*texts)[i])) {
      return absl::InvalidArgumentError(absl::StrCat("text ", i + 1, " is not valid UTF-8"));
    }
  }
  return texts;
}

absl::StatusOr<std::vector<v1::Input>> ReadInputs(const InputSource& source, Terminal& terminal) {
  std::vector<v1::Input> inputs;
  if (!source.ids.empty()) {
    if (!source.texts.empty() || !source.file.empty()) {
      return absl::InvalidArgumentError("both --ids and texts are given: use one");
    }
    for (const std::string& list : source.ids) {
      absl::StatusOr<v1::Input> input = ParseIds(list);
      if (!input.ok()) return input.status();
      inputs.push_back(*std::move(input));
    }
    return inputs;
  }
  absl::StatusOr<std::vector<std::string>> texts = ReadTexts(source, terminal);
  if (!texts.ok()) return texts.status();
  for (std::string& text : *texts) inputs.emplace_back().set_text(std::move(text));
  return inputs;
}

}  // namespace contexture::cli
