#pragma once

#include <thread>

#include "server/lifecycle.h"
#include "server/log.h"
#include "server/reload_trigger.h"

namespace contexture {

// What a signal asks for.
enum class SignalAction {
  kIgnore,   // SIGHUP before or after serving: there is nothing to reload
  kReload,   // SIGHUP while serving
  kDrain,    // the first SIGTERM or SIGINT while serving
  kExit,     // the same while starting: nothing was admitted; exit code 0
  kExitNow,  // the second one: exit code 128 + signal, and admitted work is lost
};
SignalAction ActionOf(int signal, int earlier_signals, ServerState state);

// Blocks the signals that SignalThread takes, for this thread and all that it starts, and ignores
// SIGPIPE. Call it in main before any thread exists.
void BlockSignals();

// Waits for SIGTERM, SIGINT and SIGHUP and acts on them, on a thread of its own so that no work is
// done in a signal handler.
class SignalThread {
 public:
  // All outlive this. SIGHUP fires RELOAD.
  SignalThread(Lifecycle& lifecycle, Logger& logger, ReloadTrigger& reload);
  ~SignalThread();
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

 private:
  void Run();
  void Act(int signal);

  Lifecycle& lifecycle_;
  Logger& logger_;
  ReloadTrigger& reload_;
  int stop_requests_ = 0;
  const int signal_fd_;
  const int end_fd_;  // readable: the destructor waits
  std::thread thread_;
};

}  // namespace contexture
