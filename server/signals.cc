#include "server/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

namespace contexture {
namespace {

sigset_t TakenSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

int OpenSignalFd() {
  const sigset_t signals = TakenSignals();
  return ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

const char* SignalName(int signal) {
  return signal == SIGTERM ? "SIGTERM" : signal == SIGINT ? "SIGINT" : "SIGHUP";
}

}  // namespace

SignalAction ActionOf(int signal, int earlier_signals, ServerState state) {
  if (signal == SIGHUP) {
    return state == ServerState::kServing ? SignalAction::kReload : SignalAction::kIgnore;
  }
  if (earlier_signals > 0) return SignalAction::kExitNow;
  return state == ServerState::kStarting ? SignalAction::kExit : SignalAction::kDrain;
}

void BlockSignals() {
  const sigset_t signals = TakenSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away must not end the server
}

SignalThread::SignalThread(Lifecycle& lifecycle, Logger& logger, ReloadTrigger& reload)
    : lifecycle_(lifecycle),
      logger_(logger),
      reload_(reload),
      signal_fd_(OpenSignalFd()),
      end_fd_(::eventfd(0, EFD_CLOEXEC)),
      thread_([this] { Run(); }) {}

SignalThread::~SignalThread() {
  const uint64_t one = 1;
  while (::write(end_fd_, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
  thread_.join();
  ::close(signal_fd_);
  ::close(end_fd_);
}

void SignalThread::Run() {
  pollfd waits[] = {{signal_fd_, POLLIN, 0}, {end_fd_, POLLIN, 0}};
  while (true) {
    if (::poll(waits, 2, -1) < 0) {
      if (errno == EINTR) continue;
      logger_.Error("signals_lost", {{"reason", std::strerror(errno)}});
      return;
    }
    if (waits[1].revents != 0) return;
    signalfd_siginfo info;
    if (::read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
      Act(static_cast<int>(info.ssi_signo));
    }
  }
}

void SignalThread::Act(int signal) {
  switch (ActionOf(signal, stop_requests_, lifecycle_.state())) {
    case SignalAction::kIgnore:
      logger_.Info("signal_ignored",
                   {{"signal", SignalName(signal)}, {"reason", Name(lifecycle_.state())}});
      return;
    case SignalAction::kReload:
      logger_.Info("signal", {{"signal", SignalName(signal)}});
      reload_.Fire();
      return;
    case SignalAction::kExitNow:
      logger_.Warning("stopped_at_once", {{"signal", SignalName(signal)}});
      ::_exit(128 + signal);
    case SignalAction::kExit:
      logger_.Info("stopped", {{"signal", SignalName(signal)}, {"reason", "before serving"}});
      ::_exit(0);
    case SignalAction::kDrain:
      ++stop_requests_;
      logger_.Info("signal", {{"signal", SignalName(signal)}});
      lifecycle_.RequestStop();
      return;
  }
}

}  // namespace contexture
