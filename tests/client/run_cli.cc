#include "tests/client/run_cli.h"

#include <cstdlib>
#include <sstream>

namespace contexture::test_support {
namespace {

// ThreadSanitizer's tests run with libraries that only an instrumented program can load; gnuplot is
// none. This program has loaded its own by now.
[[maybe_unused]] const int kLibraryPathForgotten = unsetenv("LD_LIBRARY_PATH");

}  // namespace

CliResult RunContexture(const std::vector<std::string>& arguments, const std::string& server,
                        const std::string& in) {
  std::vector<const char*> argv = {"contexture"};
  if (!server.empty()) argv.insert(argv.end(), {"--server", server.c_str()});
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::istringstream input(in);
  std::ostringstream out, err;
  cli::Terminal terminal{.in = input, .out = out, .err = err};
  CliResult result;
  result.code = cli::RunCli(static_cast<int>(argv.size()), argv.data(), terminal);
  result.out = out.str();
  result.err = err.str();
  return result;
}

}  // namespace contexture::test_support
