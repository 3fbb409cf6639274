#include <unistd.h>

#include <iostream>

#include "absl/synchronization/mutex.h"
#include "client/cli/cli.h"

int main(int argc, char** argv) {
  // As in the server: Debian's Abseil would look for cycles of locks at each of them.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  contexture::cli::Terminal terminal{.in = std::cin,
                                     .out = std::cout,
                                     .err = std::cerr,
                                     .in_is_terminal = isatty(STDIN_FILENO) != 0,
                                     .out_is_terminal = isatty(STDOUT_FILENO) != 0,
                                     .err_is_terminal = isatty(STDERR_FILENO) != 0};
  return static_cast<int>(contexture::cli::RunCli(argc, argv, terminal));
}
