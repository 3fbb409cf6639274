#pragma once

#include <istream>
#include <memory>
#include <ostream>
#include <string>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/encoder_client.h"

namespace contexture::cli {

// What the process's exit code says; scripts rely on these numbers.
enum class ExitCode {
  kOk = 0,
  kFailure = 1,      // a fault of this program or machine: a file that cannot be written
  kUserMistake = 2,  // arguments, or a file, that make no sense: nothing was sent
  kRefused = 3,      // the server answered with an error, or is not serving
  kUnreachable = 4,  // no server, or no answer within the timeout
};

// The process's streams, replaced in tests.
struct Terminal {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
};

// What a subcommand works with.
struct Session {
  client::EncoderClient& client;
  Terminal& terminal;

  // Each prints one sentence to the terminal's error stream and returns the code to exit with.
  ExitCode UserMistake(absl::string_view message) const;
  ExitCode ServerError(const absl::Status& status) const;
  ExitCode Failure(absl::string_view message) const;
};

// One subcommand; its file holds its options and what it does.
class Command {
 public:
  virtual ~Command() = default;
  virtual std::string name() const = 0;
  virtual std::string description() const = 0;
  virtual void AddOptions(CLI::App& app) = 0;
  virtual ExitCode Run(const Session& session) = 0;
};

std::unique_ptr<Command> NewBenchCommand();
std::unique_ptr<Command> NewEncodeCommand();
std::unique_ptr<Command> NewTokenizeCommand();
std::unique_ptr<Command> NewModelCommand();
std::unique_ptr<Command> NewModelsCommand();
std::unique_ptr<Command> NewHealthCommand();
std::unique_ptr<Command> NewInspectCommand();
std::unique_ptr<Command> NewClassifyCommand();
std::unique_ptr<Command> NewRerankCommand();
std::unique_ptr<Command> NewTagCommand();
std::unique_ptr<Command> NewFillMaskCommand();
std::unique_ptr<Command> NewScoreCommand();

}  // namespace contexture::cli
