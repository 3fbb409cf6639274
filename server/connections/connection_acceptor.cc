#include "server/connections/connection_acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace contexture {
namespace {

// Between two attempts to accept while the system lacks memory or descriptors.
constexpr absl::Duration kScarcityPause = absl::Milliseconds(100);
constexpr int kEventsAtATime = 64;
// Of an IPv6 address; the rest is the host's own to choose (RFC 4291 section 2.5.1).
constexpr size_t kNetworkBytes = 8;

FileDescriptor OpenReserve() { return FileDescriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

// What the bound per peer counts: an IPv4 address, an IPv6 network, nothing for a unix socket.
std::string PeerKey(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& ip = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
    return std::string(reinterpret_cast<const char*>(&ip), sizeof(ip));
  }
  if (address.ss_family == AF_INET6) {
    const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    const auto* bytes = reinterpret_cast<const char*>(&ip);
    constexpr size_t kMappedOffset = 12;  // ::ffff:a.b.c.d
    if (IN6_IS_ADDR_V4MAPPED(&ip)) return std::string(bytes + kMappedOffset, sizeof(in_addr));
    return std::string(bytes, kNetworkBytes);
  }
  return "";
}

// Whether accept failed because of the connection that waited, such as its end before it was
// accepted (accept(2)), and not for want of descriptors or memory.
bool IsOfTheConnection(int error) {
  constexpr std::array kErrors = {ECONNABORTED, EINTR,       EPROTO,    EPERM,
                                  ENETDOWN,     ENOPROTOOPT, EHOSTDOWN, ENONET,
                                  EHOSTUNREACH, ENETUNREACH, EOPNOTSUPP};
  return std::find(kErrors.begin(), kErrors.end(), error) != kErrors.end();
}

int WaitMilliseconds(absl::Duration pause) {
  if (pause == absl::ZeroDuration()) return -1;
  return static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(pause, absl::Milliseconds(1))));
}

}  // namespace

ConnectionAcceptor::ConnectionAcceptor(Options options, AccessMetrics* metrics)
    : options_(std::move(options)),
      metrics_(metrics),
      table_(options_.limits),
      rate_(options_.limits.accepts_per_second, Clock::Steady().Now()),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      end_(eventfd(0, EFD_CLOEXEC)),
      reserve_(OpenReserve()) {
  Watch(end_.get(), EPOLLIN);
  for (const FileDescriptor& socket : options_.listen.sockets) Watch(socket.get(), EPOLLIN);
  thread_ = std::thread([this] { Run(); });
}

void ConnectionAcceptor::Stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  while (write(end_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
  thread_.join();
  options_.listen.sockets.clear();
  if (!options_.listen.unix_path.empty()) unlink(options_.listen.unix_path.c_str());
  open_.clear();
}

void ConnectionAcceptor::Watch(int fd, unsigned events) const {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

// Taken out of the watch and not only muted: a socket that listens no more is always told.
void ConnectionAcceptor::Listening(bool on) {
  for (const FileDescriptor& socket : options_.listen.sockets) {
    if (on) {
      Watch(socket.get(), EPOLLIN);
    } else {
      (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.get(), nullptr);
    }
  }
}

void ConnectionAcceptor::Run() {
  std::array<epoll_event, kEventsAtATime> events;
  absl::Duration resume = absl::ZeroDuration();  // when accepting goes on; zero: it does
  while (true) {
    const absl::Duration now = Clock::Steady().Now();
    if (resume != absl::ZeroDuration() && now >= resume) {
      resume = absl::ZeroDuration();
      Listening(true);
    }
    const absl::Duration pause = resume == absl::ZeroDuration() ? resume : resume - now;
    const int count =
        epoll_wait(epoll_.get(), events.data(), kEventsAtATime, WaitMilliseconds(pause));
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == end_.get()) return;
      if (!IsListener(fd)) {
        Closed(fd);
      } else if (resume == absl::ZeroDuration()) {
        const absl::Duration wait = AcceptAll(fd);
        if (wait == absl::ZeroDuration()) continue;
        resume = Clock::Steady().Now() + wait;
        Listening(false);
      }
    }
  }
}

absl::Duration ConnectionAcceptor::AcceptAll(int listener) {
  while (true) {
    if (const absl::Duration wait = rate_.Wait(Clock::Steady().Now());
        wait > absl::ZeroDuration()) {
      if (metrics_ != nullptr) metrics_->RecordDelayed();
      return wait;
    }
    sockaddr_storage address = {};
    socklen_t length = sizeof(address);
    FileDescriptor connection(accept4(listener, reinterpret_cast<sockaddr*>(&address), &length,
                                      SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection.get() >= 0) {
      rate_.Spend();
      ++accepted_;
      Take(std::move(connection), PeerKey(address));
      continue;
    }
    if (errno == EAGAIN) return absl::ZeroDuration();
    if (errno == EMFILE || errno == ENFILE) RefuseForDescriptors(listener);
    // A socket that listens no more (EINVAL) would be tried for ever without a pause.
    if (!IsOfTheConnection(errno)) return kScarcityPause;
  }
}

void ConnectionAcceptor::Take(FileDescriptor connection, const std::string& peer) {
  if (const auto refusal = table_.Add(peer)) return Refused(*refusal);
  FileDescriptor duplicate(fcntl(connection.get(), F_DUPFD_CLOEXEC, 0));
  if (duplicate.get() < 0) {
    table_.Remove(peer);
    return Refused(ConnectionRefusal::kDescriptors);
  }
  const int key = duplicate.get();
  open_[key] = {.duplicate = std::move(duplicate), .peer = peer};
  options_.hand_over(connection.Release());
  // No event is asked for: the end of both directions, and errors, are always told.
  Watch(key, 0);
  if (metrics_ == nullptr) return;
  metrics_->RecordAccepted();
  metrics_->SetConnections(table_.open());
}

// The connection that waits is taken and closed, so that its peer knows and the queue moves on.
void ConnectionAcceptor::RefuseForDescriptors(int listener) {
  const int error = errno;
  reserve_.Reset();
  FileDescriptor connection(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (connection.get() >= 0) Refused(ConnectionRefusal::kDescriptors);
  connection.Reset();
  reserve_ = OpenReserve();
  errno = error;
}

void ConnectionAcceptor::Closed(int duplicate) {
  const auto found = open_.find(duplicate);
  if (found == open_.end()) return;
  table_.Remove(found->second.peer);
  // gRPC may not have closed its own descriptor yet, so closing ours does not end the watch.
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, duplicate, nullptr);
  open_.erase(found);
  if (metrics_ != nullptr) metrics_->SetConnections(table_.open());
}

void ConnectionAcceptor::Refused(ConnectionRefusal reason) const {
  if (metrics_ != nullptr) metrics_->RecordRefused(reason);
}

bool ConnectionAcceptor::IsListener(int fd) const {
  const auto& sockets = options_.listen.sockets;
  return std::any_of(sockets.begin(), sockets.end(),
                     [fd](const FileDescriptor& socket) { return socket.get() == fd; });
}

}  // namespace contexture
