#pragma once

#include <string>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "client/credentials.h"
#include "client/encoder_client.h"

namespace contexture::cli {

// The options of the command line that say which server is asked and how; all subcommands have
// them.
struct ConnectionOptions {
  std::string server = "localhost:50051";
  double timeout_seconds = 30;
  bool tls = false;
  client::TlsFiles tls_files = {};
  std::string token_file;
};

void AddConnectionOptions(CLI::App& app, ConnectionOptions& options);

// Reads the files that OPTIONS name. INVALID_ARGUMENT: a token would be sent in plain text to
// another machine; and the codes of client/credentials.h.
absl::StatusOr<client::ClientOptions> ToClientOptions(const ConnectionOptions& options);

}  // namespace contexture::cli
