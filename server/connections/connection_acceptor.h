#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/connections/connection_table.h"
#include "server/connections/listen_socket.h"

namespace contexture {

// Accepts connections in gRPC's stead, on a thread of its own. gRPC 1.51 has no bound on
// connections, and stops accepting for good once the process was out of file descriptors
// (CVE-2023-4785); this closes what is past a bound, and goes on when descriptors are there again.
//
// It learns of the end of a connection from a duplicate of its descriptor: gRPC shuts a connection
// down before it closes it. So a connection takes two descriptors.
class ConnectionAcceptor {
 public:
  struct Options {
    ListenSockets listen;
    ConnectionLimits limits;
    // Takes a connected, non-blocking socket, which it owns from then on. Called on the thread.
    std::function<void(int)> hand_over;
  };

  // METRICS, null for none, outlives this.
  ConnectionAcceptor(Options options, AccessMetrics* metrics);
  ~ConnectionAcceptor() { Stop(); }
  ConnectionAcceptor(const ConnectionAcceptor&) = delete;
  ConnectionAcceptor& operator=(const ConnectionAcceptor&) = delete;

  // Closes the listening sockets and waits for the thread; open connections go on. From one thread.
  void Stop();
  int port() const { return options_.listen.port; }
  // Connections accepted so far, with those that a bound closed. Thread safe.
  int64_t accepted() const { return accepted_; }

 private:
  // What the thread watches: a listening socket, a connection's duplicate, or the wish to end.
  struct Open {
    FileDescriptor duplicate;
    std::string peer;
  };

  void Run();
  void Watch(int fd, unsigned events) const;
  void Listening(bool on);
  // Takes what waits at LISTENER. Zero, or how long accepting has to pause.
  absl::Duration AcceptAll(int listener);
  // The bounds, then gRPC.
  void Take(FileDescriptor connection, const std::string& peer);
  void RefuseForDescriptors(int listener);
  void Closed(int duplicate);
  void Refused(ConnectionRefusal reason) const;
  bool IsListener(int fd) const;

  Options options_;
  AccessMetrics* const metrics_;
  ConnectionTable table_;
  RateLimit rate_;
  std::atomic<int64_t> accepted_{0};
  FileDescriptor epoll_;
  FileDescriptor end_;
  // Given up to accept and close what comes when there is no other descriptor.
  FileDescriptor reserve_;
  absl::flat_hash_map<int, Open> open_;  // by duplicate
  std::thread thread_;                   // last
};

}  // namespace contexture
