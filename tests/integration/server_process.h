#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "tests/support/files.h"

namespace contexture::test_support {

// A running contexture-server: the real binary in a process of its own, with its standard error
// kept. Not thread safe, but Signal may be called while other threads use channels. Killed at the
// end of the scope if it still runs.
class ServerProcess {
 public:
  // Starts the binary with exactly these arguments.
  explicit ServerProcess(const std::vector<std::string>& arguments);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Starts a server of the model in DIRECTORY on PORT of the loopback, 0 for a free one. It may not
  // be ready yet.
  static std::unique_ptr<ServerProcess> Serve(const std::string& directory,
                                              const std::vector<std::string>& flags = {},
                                              int port = 0);

  // Blocks until health says SERVING. DEADLINE_EXCEEDED: not within `timeout`. ABORTED: it ended.
  absl::Status WaitUntilServing(absl::Duration timeout = absl::Seconds(60));
  void Signal(int signal_number) const;
  // The exit code, or 128 + the signal that ended it; nothing while it still runs after `timeout`.
  std::optional<int> WaitForExit(absl::Duration timeout);

  // A connection of its own to the server, with a limit on received messages of 64 MiB.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  int port() const { return port_; }
  // For a process that was given its own arguments: where it listens.
  void SetPort(int port) { port_ = port; }
  int metrics_port() const { return metrics_port_; }
  std::string standard_error() const;

 private:
  TemporaryDirectory directory_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  int port_ = 0;
  int metrics_port_ = 0;
};

}  // namespace contexture::test_support
