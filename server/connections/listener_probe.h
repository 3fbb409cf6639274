#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/connections/listen_socket.h"

namespace contexture {

// How a process reaches a listener of its own.
struct ListenerProbe {
  std::string address;  // a sockaddr
  // What a client sends first: HTTP/2's preface, or TLS's ClientHello.
  std::string greeting;
};

// Reaches the first of SOCKETS, by the loopback where it listens on all addresses. UNAVAILABLE: its
// address cannot be read; INTERNAL: OpenSSL makes no greeting.
absl::StatusOr<ListenerProbe> MakeListenerProbe(const ListenSockets& sockets, bool tls);

// Connects, greets, and waits for a first byte or for the end of the connection, which a bound or a
// refused certificate brings: somebody accepts and answers. No credentials are needed. Blocks for
// at most TIMEOUT. UNAVAILABLE: nobody listens. DEADLINE_EXCEEDED: the kernel accepts, nobody
// answers. RESOURCE_EXHAUSTED: this process has no descriptor left, so nothing is known.
absl::Status Probe(const ListenerProbe& probe, absl::Duration timeout);

}  // namespace contexture
