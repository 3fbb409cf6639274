#pragma once

#include <memory>
#include <string>

namespace contexture::test_support {

// An authority of its own, and certificates of it, made anew in the test (P-256 keys).
class CertificateAuthority {
 public:
  struct KeyPair {
    std::string certificate;  // PEM
    std::string key;          // PEM
  };

  CertificateAuthority();
  ~CertificateAuthority();

  const std::string& certificate() const { return certificate_; }  // PEM
  // For "localhost" and 127.0.0.1, valid from yesterday for DAYS.
  KeyPair Issue(const std::string& common_name, int days = 30) const;

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
  std::string certificate_;
};

}  // namespace contexture::test_support
