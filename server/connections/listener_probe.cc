#include "server/connections/listener_probe.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"

namespace contexture {
namespace {

// RFC 9113 section 3.4: the preface and an empty SETTINGS frame.
std::string Http2Greeting() {
  const std::string frame("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 9);
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame;
}

// The ClientHello of a handshake that goes no further.
absl::StatusOr<std::string> TlsGreeting() {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                             SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(context ? SSL_new(context.get()) : nullptr,
                                                 SSL_free);
  if (ssl == nullptr) return absl::InternalError("OpenSSL gives no TLS client");
  const unsigned char protocols[] = {2, 'h', '2'};
  SSL_set_alpn_protos(ssl.get(), protocols, sizeof(protocols));
  BIO* sent = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), sent);  // owns both
  SSL_connect(ssl.get());                              // stops where it wants the server's answer
  char* data = nullptr;
  const auto size = BIO_get_mem_data(sent, &data);
  if (size <= 0) return absl::InternalError("OpenSSL makes no ClientHello");
  return std::string(data, static_cast<size_t>(size));
}

// A socket that listens on all addresses is connected to by the loopback.
void ReplaceWildcard(sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    auto& ip = reinterpret_cast<sockaddr_in&>(address).sin_addr;
    if (ip.s_addr == htonl(INADDR_ANY)) ip.s_addr = htonl(INADDR_LOOPBACK);
  } else if (address.ss_family == AF_INET6) {
    auto& ip = reinterpret_cast<sockaddr_in6&>(address).sin6_addr;
    if (IN6_IS_ADDR_UNSPECIFIED(&ip)) ip = in6addr_loopback;
  }
}

absl::Status Failed(absl::string_view what, int error) {
  const std::string message = absl::StrCat(what, ": ", std::strerror(error));
  if (error == EMFILE || error == ENFILE) return absl::ResourceExhaustedError(message);
  return absl::UnavailableError(message);
}

// Until FD has one of EVENTS. False: DEADLINE passed before.
bool Await(int fd, short events, absl::Duration deadline) {
  while (true) {
    const absl::Duration left = deadline - Clock::Steady().Now();
    if (left <= absl::ZeroDuration()) return false;
    pollfd wait = {fd, events, 0};
    const auto milliseconds = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
    const int count = poll(&wait, 1, static_cast<int>(std::min<int64_t>(milliseconds, 1 << 30)));
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return false;
  }
}

absl::Status Connect(int fd, const std::string& address, absl::Duration deadline) {
  const int connected = connect(fd, reinterpret_cast<const sockaddr*>(address.data()),
                                static_cast<socklen_t>(address.size()));
  if (connected == 0) return absl::OkStatus();
  // EAGAIN: the queue of a unix socket is full.
  if (errno == EAGAIN) return absl::DeadlineExceededError("connections wait to be accepted");
  if (errno != EINPROGRESS) return Failed("cannot connect", errno);
  if (!Await(fd, POLLOUT, deadline)) {
    return absl::DeadlineExceededError("connections wait to be accepted");
  }
  int error = 0;
  socklen_t length = sizeof(error);
  (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error == 0 ? absl::OkStatus() : Failed("cannot connect", error);
}

}  // namespace

absl::StatusOr<ListenerProbe> MakeListenerProbe(const ListenSockets& sockets, bool tls) {
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  if (sockets.sockets.empty() || getsockname(sockets.sockets.front().get(),
                                             reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return absl::UnavailableError("the address of the listening socket cannot be read");
  }
  ReplaceWildcard(address);
  ListenerProbe probe{.address = std::string(reinterpret_cast<const char*>(&address), length),
                      .greeting = Http2Greeting()};
  if (tls) {
    CTX_ASSIGN_OR_RETURN(probe.greeting, TlsGreeting());
  }
  return probe;
}

absl::Status Probe(const ListenerProbe& probe, absl::Duration timeout) {
  const absl::Duration deadline = Clock::Steady().Now() + timeout;
  const auto family = reinterpret_cast<const sockaddr*>(probe.address.data())->sa_family;
  const FileDescriptor fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return Failed("cannot open a socket", errno);
  CTX_RETURN_IF_ERROR(Connect(fd.get(), probe.address, deadline));
  // What fails here is that the other side has closed, which the wait finds out too.
  (void)send(fd.get(), probe.greeting.data(), probe.greeting.size(), MSG_NOSIGNAL);
  if (Await(fd.get(), POLLIN, deadline)) return absl::OkStatus();
  return absl::DeadlineExceededError("connected, but nobody answers");
}

}  // namespace contexture
