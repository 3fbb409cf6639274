#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/options.h"

namespace contexture {

// One option of the server in its three spellings: --max-queue-tokens, CONTEXTURE_MAX_QUEUE_TOKENS,
// and the key max-queue-tokens of the YAML file. The table is in flag_table.cc; help, parsing and
// --print-config all read it.
struct Flag {
  std::string name;
  std::string help;
  // Parses a value into the options. INVALID_ARGUMENT: what is wrong with it and what is allowed.
  std::function<absl::Status(const std::string&, ServerOptions&)> set;
  // The value in a form that `set` takes.
  std::function<std::string(const ServerOptions&)> get;

  // Given several times, or as a list in the file, the values are joined with commas.
  bool is_list = false;

  std::string EnvironmentName() const;
};
absl::Span<const Flag> FlagTable();

// Where ParseFlags reads the environment; nullptr: not set. std::getenv outside tests.
using Environment = std::function<const char*(const char*)>;

struct ParsedFlags {
  ServerOptions options;
  // Not empty: print this on standard output and exit with 0 (--help, --version, --print-config).
  std::string print_and_exit;
  std::string config_path;  // empty: no file was read
  std::string config_text;  // of that file
};

// Command line over environment over file over default. INVALID_ARGUMENT: an unknown flag or key
// (with the nearest known one), a bad value (naming its source), no model, what ModelSources and
// CheckTransport say. NOT_FOUND: no such --config file.
absl::StatusOr<ParsedFlags> ParseFlags(int argc, const char* const* argv,
                                       const Environment& environment);

// The entries of a YAML mapping; of a list of scalars, its elements with commas between.
// INVALID_ARGUMENT: not a mapping of known flags to scalars, or to lists where a flag takes one.
absl::StatusOr<std::map<std::string, std::string>> ParseConfig(const std::string& yaml);

// The known flag that is spelled most like NAME.
std::string NearestFlag(absl::string_view name);

}  // namespace contexture
