#include "client/cli/cli.h"

#include <array>
#include <memory>
#include <string>

#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "client/cli/connection_options.h"

namespace contexture::cli {
namespace {

constexpr char kDescription[] =
    "Asks a Contexture server for the contextual vectors of texts, and what its model says of "
    "them.\n"
    "Exit codes: 0 done, 1 a fault here, 2 a mistake in the arguments, 3 the server refused or is\n"
    "not serving, 4 the server cannot be reached.";

// The program's help, or that of the subcommand that was named.
std::string Help(const CLI::App& app) {
  const auto named = app.get_subcommands();
  return named.empty() ? app.help() : named.front()->help();
}

// Arguments that do not parse: the help that was asked for, or what is wrong with them.
ExitCode ReportParse(const CLI::App& app, const CLI::ParseError& error, Terminal& terminal) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    const bool version = error.get_name() == "CallForVersion";
    terminal.out << (version ? std::string(error.what()) + "\n" : Help(app));
    return ExitCode::kOk;
  }
  const auto named = app.get_subcommands();
  terminal.err << "error: " << error.what() << " (see contexture "
               << (named.empty() ? "" : named.front()->get_name() + " ") << "--help)\n";
  return ExitCode::kUserMistake;
}

}  // namespace

ExitCode RunCli(int argc, const char* const* argv, Terminal& terminal) {
  CLI::App app(kDescription, "contexture");
  ConnectionOptions options;
  AddConnectionOptions(app, options);
  app.set_version_flag("--version", std::string("contexture ") + CONTEXTURE_VERSION);
  // --server and its like may stand before or after the subcommand.
  app.fallthrough();
  app.require_subcommand(1);
  const std::array<std::unique_ptr<Command>, 12> commands = {
      NewEncodeCommand(), NewClassifyCommand(), NewRerankCommand(),   NewTagCommand(),
      NewScoreCommand(),  NewFillMaskCommand(), NewTokenizeCommand(), NewModelCommand(),
      NewModelsCommand(), NewInspectCommand(),  NewHealthCommand(),   NewBenchCommand()};
  for (const auto& command : commands) {
    command->AddOptions(*app.add_subcommand(command->name(), command->description()));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ReportParse(app, error, terminal);
  }
  absl::StatusOr<client::ClientOptions> client_options = ToClientOptions(options);
  if (!client_options.ok()) {
    terminal.err << "error: " << client_options.status().message() << "\n";
    return ExitCode::kUserMistake;
  }
  client::EncoderClient client(*std::move(client_options));
  for (const auto& command : commands) {
    if (app.got_subcommand(command->name())) return command->Run({client, terminal});
  }
  return ExitCode::kUserMistake;
}

}  // namespace contexture::cli
