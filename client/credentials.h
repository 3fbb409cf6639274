#pragma once

#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace contexture::client {

// How a client knows its server, and how it says who it is. Files are in PEM.
struct TlsFiles {
  std::string ca = "";           // authority of the server's certificate; empty: the system's
  std::string certificate = "";  // the client's own chain, where servers ask for one; with `key`
  std::string key = "";
};

// Credentials for ClientOptions. NOT_FOUND: a file cannot be read; INVALID_ARGUMENT: a certificate
// without a key, or a key without a certificate.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(const TlsFiles& files);

// The bearer token in a file: its first line. NOT_FOUND: it cannot be read; INVALID_ARGUMENT: it is
// empty or has characters that a token cannot have. The error does not show it.
absl::StatusOr<std::string> ReadToken(const std::string& path);

// Does TARGET stay on this machine? A token is no secret on a plain connection that leaves it.
bool IsLocal(const std::string& target);

}  // namespace contexture::client
