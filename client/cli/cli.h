#pragma once

#include "client/cli/command.h"

namespace contexture::cli {

// The `contexture` program: parses the arguments, runs the subcommand they name and returns the
// process's exit code. Every error is one sentence on `terminal.err`.
ExitCode RunCli(int argc, const char* const* argv, Terminal& terminal);

}  // namespace contexture::cli
