#include "client/credentials.h"

#include <arpa/inet.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace contexture::client {
namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  if (!file.is_open() || file.bad()) {
    return absl::NotFoundError(absl::StrCat("cannot read '", path, "'"));
  }
  return text;
}

// The alphabet of RFC 6750 section 2.1.
bool IsTokenCharacter(unsigned char c) {
  return absl::ascii_isalnum(c) ||
         absl::StrContains("-._~+/=", std::string(1, static_cast<char>(c)));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(const TlsFiles& files) {
  if (files.certificate.empty() != files.key.empty()) {
    return absl::InvalidArgumentError("a client's certificate and key belong together");
  }
  grpc::SslCredentialsOptions options;
  for (auto [path, text] : {std::pair{&files.ca, &options.pem_root_certs},
                            std::pair{&files.certificate, &options.pem_cert_chain},
                            std::pair{&files.key, &options.pem_private_key}}) {
    if (path->empty()) continue;
    absl::StatusOr<std::string> read = ReadFile(*path);
    if (!read.ok()) return read.status();
    *text = *std::move(read);
  }
  return grpc::SslCredentials(options);
}

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  const std::string token(absl::StripAsciiWhitespace(text->substr(0, text->find('\n'))));
  if (!token.empty() && std::all_of(token.begin(), token.end(), IsTokenCharacter)) return token;
  return absl::InvalidArgumentError(
      absl::StrCat("the first line of '", path, "' is not a bearer token"));
}

bool IsLocal(const std::string& target) {
  const std::string host = target.substr(0, target.rfind(':'));
  in_addr address = {};
  const bool loopback =
      inet_pton(AF_INET, host.c_str(), &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
  return loopback || absl::StartsWith(target, "unix:") || host == "localhost" || host == "[::1]";
}

}  // namespace contexture::client
