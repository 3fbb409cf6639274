#include "server/connections/listen_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"

namespace contexture {
namespace {

constexpr char kUnixPrefix[] = "unix:";
constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn
constexpr int kSocketFlags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

absl::Status Failed(const std::string& address, absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", why));
}
absl::Status Failed(const std::string& address) { return Failed(address, std::strerror(errno)); }

struct AddressList {
  ~AddressList() { freeaddrinfo(first); }
  addrinfo* first = nullptr;
};

absl::Status Resolve(const std::string& address, AddressList& list) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return Failed(address, "it has no port");
  absl::string_view host = absl::string_view(address).substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  const std::string name(host), port = address.substr(colon + 1);
  const int error = getaddrinfo(name.c_str(), port.c_str(), &hints, &list.first);
  return error == 0 ? absl::OkStatus() : Failed(address, gai_strerror(error));
}

void SetOption(int fd, int level, int option, int value) {
  (void)setsockopt(fd, level, option, &value, sizeof(value));
}

void SetPort(sockaddr* address, int port) {
  const in_port_t value = htons(static_cast<uint16_t>(port));
  if (address->sa_family == AF_INET) reinterpret_cast<sockaddr_in*>(address)->sin_port = value;
  if (address->sa_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(address)->sin6_port = value;
}

int PortOf(int fd) {
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  const in_port_t port = address.ss_family == AF_INET6
                             ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port;
  return ntohs(port);
}

absl::StatusOr<ListenSockets> ListenTcp(const std::string& address, absl::Duration user_timeout) {
  AddressList list;
  CTX_RETURN_IF_ERROR(Resolve(address, list));
  ListenSockets result;
  for (const addrinfo* entry = list.first; entry != nullptr; entry = entry->ai_next) {
    FileDescriptor fd(socket(entry->ai_family, kSocketFlags, 0));
    if (fd.get() < 0 && errno == EAFNOSUPPORT && entry->ai_next != nullptr) continue;
    if (fd.get() < 0) return Failed(address);
    SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    // Accepted connections inherit these two.
    SetOption(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    SetOption(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT,
              static_cast<int>(absl::ToInt64Milliseconds(user_timeout)));
    // A name with several addresses has one port.
    if (result.port != 0) SetPort(entry->ai_addr, result.port);
    if (bind(fd.get(), entry->ai_addr, entry->ai_addrlen) != 0 || listen(fd.get(), kBacklog) != 0) {
      return Failed(address);
    }
    result.port = PortOf(fd.get());
    result.sockets.push_back(std::move(fd));
  }
  return result;
}

// Nobody answers at the socket: the one who made it has ended without removing it.
bool IsDead(const sockaddr_un& name) {
  FileDescriptor fd(socket(AF_UNIX, kSocketFlags, 0));
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0 &&
         errno == ECONNREFUSED;
}

absl::StatusOr<ListenSockets> ListenUnix(const std::string& address, absl::string_view path) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(name.sun_path)) {
    return Failed(address, absl::StrCat("the path must have 1 to ", sizeof(name.sun_path) - 1,
                                        " bytes, not ", path.size()));
  }
  std::memcpy(name.sun_path, path.data(), path.size());
  if (IsDead(name)) unlink(name.sun_path);
  FileDescriptor fd(socket(AF_UNIX, kSocketFlags, 0));
  if (fd.get() < 0) return Failed(address);
  // The mode before the name appears: nobody else can connect in between.
  if (fchmod(fd.get(), S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP) != 0 ||
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return Failed(address);
  }
  ListenSockets result;
  result.sockets.push_back(std::move(fd));
  result.unix_path = std::string(path);
  return result;
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    Reset();
    fd_ = other.Release();
  }
  return *this;
}

int FileDescriptor::Release() { return std::exchange(fd_, -1); }

void FileDescriptor::Reset() {
  if (fd_ >= 0) close(Release());
}

absl::StatusOr<ListenSockets> Listen(const std::string& address, absl::Duration user_timeout) {
  absl::string_view path = address;
  if (absl::ConsumePrefix(&path, kUnixPrefix)) return ListenUnix(address, path);
  return ListenTcp(address, user_timeout);
}

}  // namespace contexture
