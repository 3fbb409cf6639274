#include "client/cli/connection_options.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace contexture::cli {

void AddConnectionOptions(CLI::App& app, ConnectionOptions& options) {
  app.add_option("--server", options.server, "host:port of the server, or unix:PATH")
      ->envname("CONTEXTURE_SERVER")
      ->capture_default_str();
  app.add_option("--timeout", options.timeout_seconds, "seconds to wait for each answer")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
  app.add_flag("--tls", options.tls, "encrypt; any other --tls option means it too")
      ->envname("CONTEXTURE_CLIENT_TLS");
  app.add_option("--tls-ca", options.tls_files.ca,
                 "PEM file of the authority of the server's certificate (default: the system's)")
      ->envname("CONTEXTURE_CLIENT_TLS_CA");
  app.add_option("--tls-certificate", options.tls_files.certificate,
                 "PEM file of this client's certificate, where the server asks for one")
      ->envname("CONTEXTURE_CLIENT_TLS_CERTIFICATE");
  app.add_option("--tls-key", options.tls_files.key, "PEM file of the certificate's private key")
      ->envname("CONTEXTURE_CLIENT_TLS_KEY");
  app.add_option("--token-file", options.token_file, "file whose first line is the bearer token")
      ->envname("CONTEXTURE_CLIENT_TOKEN_FILE");
}

absl::StatusOr<client::ClientOptions> ToClientOptions(const ConnectionOptions& options) {
  client::ClientOptions result{.target = options.server,
                               .timeout = absl::Seconds(options.timeout_seconds)};
  const client::TlsFiles& files = options.tls_files;
  if (options.tls || !files.ca.empty() || !files.certificate.empty() || !files.key.empty()) {
    auto credentials = client::TlsCredentials(files);
    if (!credentials.ok()) return credentials.status();
    result.credentials = *std::move(credentials);
  }
  if (options.token_file.empty()) return result;
  if (result.credentials == nullptr && !client::IsLocal(options.server)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--token-file without --tls would show the token to the network on the way to ",
        options.server));
  }
  auto token = client::ReadToken(options.token_file);
  if (!token.ok()) return token.status();
  result.token = *std::move(token);
  return result;
}

}  // namespace contexture::cli
