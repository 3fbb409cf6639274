#pragma once

namespace contexture {

// What the process answers its parent.
enum ExitCode {
  kExitOk = 0,
  kExitFailed = 1,   // an address in use, or a fault of the server
  kExitMistake = 2,  // flags, configuration or model directory are wrong
  // 128 + signal: a second SIGTERM or SIGINT ended a drain
};

// The program: flags, signals, server, drain. Call BlockSignals before. Blocks until the end.
int RunServer(int argc, const char* const* argv);

}  // namespace contexture
