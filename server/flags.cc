#include "server/flags.h"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <sstream>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "server/metrics/build_info.h"
#include "server/model_source.h"
#include "server/security/transport.h"
#include "yaml-cpp/yaml.h"

namespace contexture {
namespace {

const Flag* FindFlag(absl::string_view name) {
  const auto table = FlagTable();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Flag& flag) { return flag.name == name; });
  return found == table.end() ? nullptr : &*found;
}

// Levenshtein distance.
int EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    int diagonal = std::exchange(row[0], static_cast<int>(i) + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const int substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// What the command line says, unparsed.
struct CommandLine {
  std::map<std::string, std::string> values;  // by flag name
  std::string config;
  bool version = false;
  bool print_config = false;
  std::string help;  // not empty: --help was given
};

// CLI11 takes the next argument as the value of "--flag="; it takes "--flag" "" as it is meant. The
// last argument comes first, as CLI11 wants it.
std::vector<std::string> ReversedArguments(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    const bool has_empty_value = absl::StartsWith(argument, "--") && absl::EndsWith(argument, "=");
    if (has_empty_value) argument.pop_back();
    arguments.push_back(std::move(argument));
    if (has_empty_value) arguments.emplace_back();
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

absl::StatusOr<CommandLine> ReadCommandLine(int argc, const char* const* argv) {
  CLI::App app(
      "Serves the contextual vectors of a transformer encoder over gRPC.\n"
      "Example: contexture-server --model=./all-MiniLM-L6-v2",
      "contexture-server");
  app.allow_extras();
  app.get_formatter()->column_width(34);
  CommandLine line;
  std::map<std::string, std::string> given;
  const ServerOptions defaults;
  for (const Flag& flag : FlagTable()) {
    app.add_option("--" + flag.name, given[flag.name],
                   absl::StrFormat("%s [default: %s] [%s]", flag.help, flag.get(defaults),
                                   flag.EnvironmentName()))
        ->type_name("")
        ->multi_option_policy(flag.is_list ? CLI::MultiOptionPolicy::Join
                                           : CLI::MultiOptionPolicy::Throw)
        ->delimiter(flag.is_list ? ',' : '\0');
  }
  app.add_option("--config", line.config,
                 "YAML file with these options as keys [CONTEXTURE_CONFIG]")
      ->type_name("");
  app.add_flag("--version", line.version, "Print the version and exit");
  app.add_flag("--print-config", line.print_config, "Print the resulting configuration and exit");
  try {
    app.parse(ReversedArguments(argc, argv));
  } catch (const CLI::CallForHelp&) {
    line.help = app.help();
    return line;
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (!app.remaining().empty()) {
    const std::string extra = app.remaining().front();  // remaining() returns a copy
    const std::string name = extra.substr(0, extra.find('='));
    return absl::InvalidArgumentError(
        absl::StrFormat("unknown flag '%s'; did you mean --%s?", name, NearestFlag(name)));
  }
  for (auto& [name, value] : given) {
    if (app.count("--" + name) > 0) line.values[name] = std::move(value);
  }
  return line;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) {
    return absl::NotFoundError(absl::StrFormat("--config: cannot read the file '%s'", path));
  }
  return text.str();
}

absl::Status Apply(const Flag& flag, const std::string& value, absl::string_view source,
                   ServerOptions& options) {
  absl::Status status = flag.set(value, options);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(source, ": ", status.message()));
}

// Rising precedence, so that the last one wins; each source's faults are reported, used or not.
absl::Status ApplyAll(const CommandLine& line, const std::map<std::string, std::string>& file,
                      const Environment& environment, ServerOptions& options) {
  for (const Flag& flag : FlagTable()) {
    if (auto found = file.find(flag.name); found != file.end()) {
      CTX_RETURN_IF_ERROR(
          Apply(flag, found->second, absl::StrCat("config key ", flag.name), options));
    }
    const std::string variable = flag.EnvironmentName();
    if (const char* value = environment(variable.c_str())) {
      CTX_RETURN_IF_ERROR(Apply(flag, value, variable, options));
    }
    if (auto found = line.values.find(flag.name); found != line.values.end()) {
      CTX_RETURN_IF_ERROR(Apply(flag, found->second, absl::StrCat("--", flag.name), options));
    }
  }
  return absl::OkStatus();
}

std::string ConfigText(const ServerOptions& options) {
  YAML::Emitter yaml;
  yaml << YAML::BeginMap;
  for (const Flag& flag : FlagTable()) {
    yaml << YAML::Key << flag.name << YAML::Value << YAML::DoubleQuoted << flag.get(options);
  }
  yaml << YAML::EndMap;
  return absl::StrCat(yaml.c_str(), "\n");
}

std::string ConfigPath(const CommandLine& line, const Environment& environment) {
  if (!line.config.empty()) return line.config;
  const char* value = environment("CONTEXTURE_CONFIG");
  return value != nullptr ? value : "";
}

// The text of a key's value in the file.
absl::StatusOr<std::string> ValueOf(const Flag& flag, const YAML::Node& node) {
  if (node.IsScalar()) return node.Scalar();
  const bool is_list = node.IsSequence() && flag.is_list &&
                       std::all_of(node.begin(), node.end(),
                                   [](const YAML::Node& element) { return element.IsScalar(); });
  if (!is_list) {
    return absl::InvalidArgumentError(absl::StrFormat("config key %s is not a scalar%s", flag.name,
                                                      flag.is_list ? " or a list of scalars" : ""));
  }
  return absl::StrJoin(node, ",", [](std::string* out, const YAML::Node& element) {
    out->append(element.Scalar());
  });
}

}  // namespace

std::string NearestFlag(absl::string_view name) {
  while (!name.empty() && name.front() == '-') name.remove_prefix(1);
  const auto table = FlagTable();
  return std::min_element(table.begin(), table.end(),
                          [&](const Flag& a, const Flag& b) {
                            return EditDistance(name, a.name) < EditDistance(name, b.name);
                          })
      ->name;
}

absl::StatusOr<std::map<std::string, std::string>> ParseConfig(const std::string& yaml) {
  std::map<std::string, std::string> values;
  try {
    const YAML::Node root = YAML::Load(yaml);
    if (root.IsNull()) return values;
    if (!root.IsMap()) return absl::InvalidArgumentError("the config file is not a YAML mapping");
    for (const auto& entry : root) {
      const std::string key = entry.first.as<std::string>();
      if (FindFlag(key) == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrFormat("unknown config key '%s'; did you mean %s?", key, NearestFlag(key)));
      }
      CTX_ASSIGN_OR_RETURN(std::string value, ValueOf(*FindFlag(key), entry.second));
      if (!values.emplace(key, std::move(value)).second) {
        return absl::InvalidArgumentError(absl::StrFormat("config key %s occurs twice", key));
      }
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("the config file: ", error.what()));
  }
  return values;
}

absl::StatusOr<ParsedFlags> ParseFlags(int argc, const char* const* argv,
                                       const Environment& environment) {
  CTX_ASSIGN_OR_RETURN(const CommandLine line, ReadCommandLine(argc, argv));
  ParsedFlags parsed;
  if (!line.help.empty()) {
    parsed.print_and_exit = line.help;
    return parsed;
  }
  if (line.version) {
    parsed.print_and_exit = absl::StrCat("contexture-server ", CurrentBuild().version, "\n");
    return parsed;
  }
  parsed.config_path = ConfigPath(line, environment);
  if (!parsed.config_path.empty()) {
    CTX_ASSIGN_OR_RETURN(parsed.config_text, ReadFile(parsed.config_path));
  }
  CTX_ASSIGN_OR_RETURN(const auto file, ParseConfig(parsed.config_text));
  CTX_RETURN_IF_ERROR(ApplyAll(line, file, environment, parsed.options));
  if (line.print_config) {
    parsed.print_and_exit = ConfigText(parsed.options);
    return parsed;
  }
  if (parsed.options.model.empty()) {
    return absl::InvalidArgumentError(
        "no model: give --model=DIRECTORY or set CONTEXTURE_MODEL (--help shows everything)");
  }
  CTX_RETURN_IF_ERROR(ModelSources(parsed.options).status());
  CTX_RETURN_IF_ERROR(CheckTransport(parsed.options));
  return parsed;
}

}  // namespace contexture
