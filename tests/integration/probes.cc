#include "tests/integration/probes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"

namespace contexture::test_support {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

int FreePort() {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  const bool bound = bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(descriptor);
  return bound ? ntohs(address.sin_port) : 0;
}

HealthAnswer CheckHealth(const std::shared_ptr<grpc::Channel>& channel) {
  using grpc::health::v1::HealthCheckResponse;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
  // Without it a call fails while the connection is being made, and nothing drives that on.
  context.set_wait_for_ready(true);
  HealthCheckResponse response;
  const grpc::Status status =
      grpc::health::v1::Health::NewStub(channel)->Check(&context, {}, &response);
  if (!status.ok()) return HealthAnswer::kUnreachable;
  return response.status() == HealthCheckResponse::SERVING ? HealthAnswer::kServing
                                                           : HealthAnswer::kNotServing;
}

absl::StatusOr<std::string> HttpGet(int port, absl::string_view path) {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  const absl::Cleanup closer = [descriptor] { close(descriptor); };
  const timeval timeout{.tv_sec = 10, .tv_usec = 0};
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  const sockaddr_in address = Loopback(port);
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::UnavailableError(absl::StrCat("cannot connect to port ", port));
  }
  // HTTP/1.0: the answer ends with the connection and is not chunked.
  const std::string request =
      absl::StrCat("GET ", path, " HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
  if (send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return absl::UnavailableError(absl::StrCat("cannot send to port ", port));
  }
  std::string response;
  char buffer[1 << 14];
  ssize_t count;
  while ((count = recv(descriptor, buffer, sizeof(buffer), 0)) > 0) response.append(buffer, count);
  const size_t body = response.find("\r\n\r\n");
  const std::string first_line = response.substr(0, response.find("\r\n"));
  if (body == std::string::npos || !absl::StrContains(first_line, " 200")) {
    return absl::UnavailableError(absl::StrCat("port ", port, " answered '", first_line, "'"));
  }
  return response.substr(body + 4);
}

std::optional<double> MetricSum(absl::string_view exposition, absl::string_view name) {
  std::optional<double> sum;
  for (absl::string_view line : absl::StrSplit(exposition, '\n')) {
    if (!absl::StartsWith(line, name)) continue;
    const absl::string_view rest = line.substr(name.size());
    if (!absl::StartsWith(rest, "{") && !absl::StartsWith(rest, " ")) continue;
    double value = 0;
    if (!absl::SimpleAtod(rest.substr(rest.rfind(' ') + 1), &value)) continue;
    sum = sum.value_or(0) + value;
  }
  return sum;
}

}  // namespace contexture::test_support
