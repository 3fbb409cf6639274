#include <unistd.h>

#include <iostream>

#include "client/cli/cli.h"

int main(int argc, char** argv) {
  contexture::cli::Terminal terminal{.in = std::cin,
                                     .out = std::cout,
                                     .err = std::cerr,
                                     .in_is_terminal = isatty(STDIN_FILENO) != 0,
                                     .out_is_terminal = isatty(STDOUT_FILENO) != 0,
                                     .err_is_terminal = isatty(STDERR_FILENO) != 0};
  return static_cast<int>(contexture::cli::RunCli(argc, argv, terminal));
}
