#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/command.h"
#include "contexture/v1/encoder.pb.h"

namespace contexture::cli {

// Where the inputs of a command come from: arguments, a file or standard input, one text a line; or
// lists of token ids.
struct InputSource {
  std::vector<std::string> texts;
  std::string file;              // "-": standard input
  std::vector<std::string> ids;  // "101,7592,102" each
};

// --file and the texts themselves, which every command that takes texts has.
void AddTextOptions(CLI::App& app, InputSource& source);

// --ids, for commands that take token ids too.
void AddIdsOption(CLI::App& app, InputSource& source);

// The texts of the source. INVALID_ARGUMENT: there are none, there are both arguments and a file, a
// text is not UTF-8 (by its position). NOT_FOUND: the file cannot be read.
absl::StatusOr<std::vector<std::string>> ReadTexts(const InputSource& source, Terminal& terminal);

// The inputs of the source: token ids where there are any, else its texts. Errors as ReadTexts, and
// INVALID_ARGUMENT for a list that is not of numbers below 2^32.
absl::StatusOr<std::vector<v1::Input>> ReadInputs(const InputSource& source, Terminal& terminal);

}  // namespace contexture::cli
