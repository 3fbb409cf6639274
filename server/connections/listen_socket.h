#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace contexture {

// Owns a file descriptor.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  ~FileDescriptor() { Reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;

  int get() const { return fd_; }
  int Release();
  void Reset();

 private:
  int fd_;
};

// The sockets that one address stands for, listening and non-blocking.
struct ListenSockets {
  std::vector<FileDescriptor> sockets;
  int port = 0;           // of TCP
  std::string unix_path;  // not empty: a file to be removed at the end
};

// ADDRESS is HOST:PORT, [IPV6]:PORT, both with port 0 for any free one, or unix:PATH. A unix socket
// is open to its owner and group; a dead one at PATH is replaced. Data that a peer does not
// acknowledge for USER_TIMEOUT ends its connection; zero: the system's default. UNAVAILABLE: it
// cannot be listened on, and why; names ADDRESS.
absl::StatusOr<ListenSockets> Listen(const std::string& address, absl::Duration user_timeout);

}  // namespace contexture
