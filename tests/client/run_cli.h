#pragma once

#include <string>
#include <vector>

#include "client/cli/cli.h"

namespace contexture::test_support {

struct CliResult {
  cli::ExitCode code = cli::ExitCode::kOk;
  std::string out;
  std::string err;
};

// Runs `contexture ARGUMENTS...` in this process, with --server in front where `server` is not
// empty, `in` as its standard input, and no terminal.
CliResult RunContexture(const std::vector<std::string>& arguments, const std::string& server = "",
                        const std::string& in = "");

}  // namespace contexture::test_support
