#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/security/server_credentials.h"
#include "server/options.h"

namespace contexture {

// How bytes reach the server: TLS, or plain text where that is safe or asked for.

// Are the options of encryption whole, and is plain text only on the loopback, on a unix socket, or
// allowed? INVALID_ARGUMENT: which option is missing.
absl::Status CheckTransport(const ServerOptions& options);

// The server's certificate, key and client authority, which can be replaced while serving. gRPC
// watches files and takes what it finds, also a key that is not the certificate's; so it is given
// files in memory that hold only what was checked. Not thread safe.
class CertificateStore {
 public:
  // NOT_FOUND: a file cannot be read; INVALID_ARGUMENT: a file is not PEM, or the key is not that
  // of the certificate. Names the file, never shows it. INTERNAL: no memory for a copy.
  static absl::StatusOr<std::unique_ptr<CertificateStore>> Open(const TlsOptions& options);
  ~CertificateStore();
  CertificateStore(const CertificateStore&) = delete;
  CertificateStore& operator=(const CertificateStore&) = delete;

  // Takes the files anew if they have changed, for connections from about a second later on. On an
  // error, as of Open, the old ones stay.
  absl::Status Refresh();
  absl::Time end() const { return end_; }  // of the certificate

  // TLS 1.2 or newer; with a client authority every client must present a certificate of it.
  std::shared_ptr<grpc::ServerCredentials> NewCredentials() const;

 private:
  explicit CertificateStore(const TlsOptions& options) : options_(options) {}

  const TlsOptions options_;
  absl::Time end_;
  std::string identity_;  // chain and key
  std::string client_ca_;
  // Files in memory; -1: not yet, or none.
  int identity_file_ = -1;
  int client_ca_file_ = -1;
};

}  // namespace contexture
