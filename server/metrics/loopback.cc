#include "server/metrics/loopback.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace contexture {
namespace {

// Where a listener on HOST can be reached.
std::string ReachableHost(absl::string_view host) {
  absl::ConsumePrefix(&host, "[");
  absl::ConsumeSuffix(&host, "]");
  if (host.empty() || host == "0.0.0.0") return "127.0.0.1";
  if (host == "::") return "::1";
  return std::string(host);
}

}  // namespace

void TouchListener(absl::string_view host, int port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(ReachableHost(host).c_str(), absl::StrCat(port).c_str(), &hints, &found) != 0) {
    return;
  }
  const int descriptor =
      socket(found->ai_family, found->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor >= 0) {
    (void)connect(descriptor, found->ai_addr, found->ai_addrlen);
    close(descriptor);
  }
  freeaddrinfo(found);
}

}  // namespace contexture
