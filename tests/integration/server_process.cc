#include "tests/integration/server_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "tests/integration/probes.h"

namespace contexture::test_support {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(5);
constexpr char kErrorFile[] = "stderr";

pid_t Spawn(const std::vector<std::string>& arguments, const std::string& error_file) {
  std::vector<char*> argv = {const_cast<char*>(CONTEXTURE_SERVER_BINARY)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, error_file.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, CONTEXTURE_SERVER_BINARY, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    std::fprintf(stderr, "cannot start %s: %s\n", CONTEXTURE_SERVER_BINARY, std::strerror(error));
    std::abort();
  }
  return pid;
}

}  // namespace

ServerProcess::ServerProcess(const std::vector<std::string>& arguments)
    : pid_(Spawn(arguments, directory_.File(kErrorFile))) {}

ServerProcess::~ServerProcess() {
  if (exit_code_.has_value()) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::unique_ptr<ServerProcess> ServerProcess::Serve(const std::string& directory,
                                                    const std::vector<std::string>& flags,
                                                    int port) {
  if (port == 0) port = FreePort();
  const int metrics_port = FreePort();
  std::vector<std::string> arguments = {absl::StrCat("--model=", directory),
                                        absl::StrCat("--listen=127.0.0.1:", port),
                                        absl::StrCat("--metrics-listen=127.0.0.1:", metrics_port)};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  auto server = std::make_unique<ServerProcess>(arguments);
  server->port_ = port;
  server->metrics_port_ = metrics_port;
  return server;
}

absl::Status ServerProcess::WaitUntilServing(absl::Duration timeout) {
  const absl::Time end = absl::Now() + timeout;
  const std::shared_ptr<grpc::Channel> channel = NewChannel();
  while (absl::Now() < end) {
    if (WaitForExit(absl::ZeroDuration()).has_value()) {
      return absl::AbortedError(
          absl::StrCat("the server ended with ", *exit_code_, ": ", standard_error()));
    }
    if (CheckHealth(channel) == HealthAnswer::kServing) return absl::OkStatus();
    absl::SleepFor(kPollInterval);
  }
  return absl::DeadlineExceededError(
      absl::StrCat("not SERVING within ", absl::FormatDuration(timeout), ": ", standard_error()));
}

void ServerProcess::Signal(int signal_number) const { kill(pid_, signal_number); }

std::optional<int> ServerProcess::WaitForExit(absl::Duration timeout) {
  const absl::Time end = absl::Now() + timeout;
  while (!exit_code_.has_value()) {
    int state = 0;
    if (waitpid(pid_, &state, WNOHANG) == pid_) {
      exit_code_ = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
    } else if (absl::Now() >= end) {
      break;
    } else {
      absl::SleepFor(kPollInterval);
    }
  }
  return exit_code_;
}

std::shared_ptr<grpc::Channel> ServerProcess::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  // A connection per channel instead of one shared by all with equal arguments.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // The server may still be starting: ask again soon.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port_),
                                   grpc::InsecureChannelCredentials(), arguments);
}

std::string ServerProcess::standard_error() const {
  std::ifstream stream(directory_.File(kErrorFile), std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

}  // namespace contexture::test_support
