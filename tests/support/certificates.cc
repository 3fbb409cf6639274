#include "tests/support/certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdlib>

namespace contexture::test_support {
namespace {

constexpr long kDaySeconds = 24 * 60 * 60;

std::string Text(BIO* buffer) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(buffer, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(buffer);
  return text;
}

std::string Pem(X509* certificate) {
  BIO* buffer = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(buffer, certificate);
  return Text(buffer);
}

std::string Pem(EVP_PKEY* key) {
  BIO* buffer = BIO_new(BIO_s_mem());
  PEM_write_bio_PKCS8PrivateKey(buffer, key, nullptr, nullptr, 0, nullptr, nullptr);
  return Text(buffer);
}

void AddExtension(X509* certificate, int kind, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
  if (extension == nullptr) std::abort();
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// Not yet signed; issued by nobody.
X509* NewCertificate(EVP_PKEY* key, const std::string& common_name, int days) {
  static std::atomic<long> serial{1};
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -kDaySeconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate), days * kDaySeconds);
  X509_set_pubkey(certificate, key);
  const auto* name = reinterpret_cast<const unsigned char*>(common_name.c_str());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, name, -1, -1,
                             0);
  return certificate;
}

}  // namespace

struct CertificateAuthority::Keys {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = NewCertificate(key, "test authority", 30);
};

CertificateAuthority::CertificateAuthority() : keys_(std::make_unique<Keys>()) {
  X509_set_issuer_name(keys_->certificate, X509_get_subject_name(keys_->certificate));
  AddExtension(keys_->certificate, NID_basic_constraints, "critical,CA:TRUE");
  X509_sign(keys_->certificate, keys_->key, EVP_sha256());
  certificate_ = Pem(keys_->certificate);
}

CertificateAuthority::~CertificateAuthority() {
  X509_free(keys_->certificate);
  EVP_PKEY_free(keys_->key);
}

CertificateAuthority::KeyPair CertificateAuthority::Issue(const std::string& common_name,
                                                          int days) const {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = NewCertificate(key, common_name, days);
  X509_set_issuer_name(certificate, X509_get_subject_name(keys_->certificate));
  AddExtension(certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
  X509_sign(certificate, keys_->key, EVP_sha256());
  KeyPair pair{.certificate = Pem(certificate), .key = Pem(key)};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return pair;
}

}  // namespace contexture::test_support
