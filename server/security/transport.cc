#include "server/security/transport.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/text_file.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace contexture {
namespace {

template <typename T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* object) const { Free(object); }
};
using Certificate = std::unique_ptr<X509, Deleter<X509, X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;
using Buffer = std::unique_ptr<BIO, Deleter<BIO, BIO_free_all>>;

// gRPC's watch of the files in memory: seconds are its unit.
constexpr unsigned kWatchSeconds = 1;

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  std::optional<std::string> text = ReadTextFile(path);
  if (text) return *std::move(text);
  return absl::NotFoundError(absl::StrCat("cannot read '", path, "'"));
}

// An encrypted key would otherwise ask the terminal.
int NoPassword(char*, int, int, void*) { return 0; }

Buffer BufferOf(const std::string& text) {
  return Buffer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Certificate ParseCertificate(const std::string& text) {
  return Certificate(PEM_read_bio_X509(BufferOf(text).get(), nullptr, NoPassword, nullptr));
}

PrivateKey ParseKey(const std::string& text) {
  return PrivateKey(PEM_read_bio_PrivateKey(BufferOf(text).get(), nullptr, NoPassword, nullptr));
}

// What the files of TLS options hold.
struct TlsTexts {
  std::string certificate, key, client_ca;
};

absl::StatusOr<TlsTexts> ReadTexts(const TlsOptions& options) {
  TlsTexts texts;
  CTX_ASSIGN_OR_RETURN(texts.certificate, ReadPem(options.certificate));
  CTX_ASSIGN_OR_RETURN(texts.key, ReadPem(options.key));
  if (!options.client_ca.empty()) {
    CTX_ASSIGN_OR_RETURN(texts.client_ca, ReadPem(options.client_ca));
  }
  return texts;
}

// The end of the certificate.
absl::StatusOr<absl::Time> Check(const TlsOptions& options, const TlsTexts& texts) {
  const auto invalid = [](const std::string& path, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("'", path, "' ", what));
  };
  const Certificate certificate = ParseCertificate(texts.certificate);
  if (certificate == nullptr) return invalid(options.certificate, "holds no PEM certificate");
  const PrivateKey key = ParseKey(texts.key);
  if (key == nullptr) return invalid(options.key, "holds no PEM private key without password");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return invalid(options.key,
                   absl::StrCat("is not the key of the certificate '", options.certificate, "'"));
  }
  if (!options.client_ca.empty() && ParseCertificate(texts.client_ca) == nullptr) {
    return invalid(options.client_ca, "holds no PEM certificate");
  }
  std::tm end = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1) {
    return invalid(options.certificate, "has no valid end");
  }
  return absl::FromTM(end, absl::UTCTimeZone());
}

// FILE, -1 for none yet, is from now on a file in memory with TEXT, whole at every moment.
absl::Status Replace(const std::string& text, int& file) {
  const int fresh = memfd_create("contexture-tls", MFD_CLOEXEC);
  const auto size = static_cast<ssize_t>(text.size());
  if (fresh < 0 || write(fresh, text.data(), text.size()) != size) {
    if (fresh >= 0) close(fresh);
    return absl::InternalError(
        absl::StrCat("cannot keep a certificate in memory: ", std::strerror(errno)));
  }
  if (file < 0) {
    file = fresh;
    return absl::OkStatus();
  }
  dup3(fresh, file, O_CLOEXEC);
  close(fresh);
  return absl::OkStatus();
}

std::string PathOf(int file) { return file < 0 ? "" : absl::StrCat("/proc/self/fd/", file); }

bool IsLoopbackAddress(const std::string& host) {
  in_addr address = {};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

bool IsLoopback(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return true;
  const absl::string_view host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" || IsLoopbackAddress(std::string(host));
}

}  // namespace

absl::Status CheckTransport(const ServerOptions& options) {
  const TlsOptions& tls = options.tls;
  if (tls.certificate.empty() != tls.key.empty()) {
    return absl::InvalidArgumentError(
        "--tls-certificate and --tls-key belong together: give both or none");
  }
  if (tls.certificate.empty() && !tls.client_ca.empty()) {
    return absl::InvalidArgumentError("--tls-client-ca needs --tls-certificate and --tls-key");
  }
  if (options.admin && options.token_file.empty() && !IsLoopback(options.listen)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--admin lets whoever reaches --listen=", options.listen,
        " load models: give --token-file, or listen on the loopback or a unix socket"));
  }
  if (tls.enabled() || options.allow_plaintext || IsLoopback(options.listen)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--listen=", options.listen,
                   " takes connections from other machines, unencrypted: give --tls-certificate "
                   "and --tls-key, or --allow-plaintext=true if the network is trusted"));
}

absl::StatusOr<std::unique_ptr<CertificateStore>> CertificateStore::Open(
    const TlsOptions& options) {
  std::unique_ptr<CertificateStore> store(new CertificateStore(options));
  CTX_RETURN_IF_ERROR(store->Refresh());
  return store;
}

CertificateStore::~CertificateStore() {
  for (int file : {identity_file_, client_ca_file_}) {
    if (file >= 0) close(file);
  }
}

absl::Status CertificateStore::Refresh() {
  CTX_ASSIGN_OR_RETURN(const TlsTexts texts, ReadTexts(options_));
  // In one file, so that nobody can read the one new and the other old.
  const std::string identity = absl::StrCat(texts.key, "\n", texts.certificate);
  if (identity == identity_ && texts.client_ca == client_ca_) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(const absl::Time end, Check(options_, texts));
  CTX_RETURN_IF_ERROR(Replace(identity, identity_file_));
  if (!options_.client_ca.empty()) {
    CTX_RETURN_IF_ERROR(Replace(texts.client_ca, client_ca_file_));
  }
  identity_ = identity;
  client_ca_ = texts.client_ca;
  end_ = end;
  return absl::OkStatus();
}

std::shared_ptr<grpc::ServerCredentials> CertificateStore::NewCredentials() const {
  const std::string identity = PathOf(identity_file_);
  grpc::experimental::TlsServerCredentialsOptions credentials(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          identity, identity, PathOf(client_ca_file_), kWatchSeconds));
  credentials.watch_identity_key_cert_pairs();
  if (client_ca_file_ >= 0) {
    credentials.watch_root_certs();
    credentials.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(credentials);
}

}  // namespace contexture
