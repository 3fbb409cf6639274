#include "tests/server/metrics/http_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace contexture::test_support {

LocalConnection::LocalConnection(int port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ADD_FAILURE() << "cannot connect to port " << port;
  }
}

LocalConnection::~LocalConnection() { close(socket_); }

void LocalConnection::Send(absl::string_view text) {
  EXPECT_EQ(send(socket_, text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
}

std::string LocalConnection::ReadAll() {
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = recv(socket_, buffer, sizeof(buffer), 0)) > 0;) {
    text.append(buffer, static_cast<size_t>(count));
  }
  return text;
}

std::string HttpGet(int port, absl::string_view path) {
  LocalConnection connection(port);
  connection.Send(
      absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  return connection.ReadAll();
}

}  // namespace contexture::test_support
