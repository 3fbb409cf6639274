#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace contexture::test_support {

// A TCP connection to a port of 127.0.0.1, closed at the end of the scope. A failure to connect is
// a failure of the test.
class LocalConnection {
 public:
  explicit LocalConnection(int port);
  ~LocalConnection();
  LocalConnection(const LocalConnection&) = delete;
  LocalConnection& operator=(const LocalConnection&) = delete;

  void Send(absl::string_view text);
  // What the server sends until it closes the connection.
  std::string ReadAll();

 private:
  int socket_ = -1;
};

// The whole answer, head and body, to GET PATH.
std::string HttpGet(int port, absl::string_view path);

}  // namespace contexture::test_support
