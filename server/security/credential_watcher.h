#pragma once

#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "server/log.h"
#include "server/metrics/access_metrics.h"
#include "server/security/authorizer.h"
#include "server/security/transport.h"

namespace contexture {

// Takes new tokens and certificates from their files; logs and counts what cannot be used, and
// exports when the certificate ends. Thread safe.
class CredentialWatcher {
 public:
  struct Context {
    Authorizer& authorizer;
    CertificateStore* certificates;  // null: no TLS
    AccessMetrics& metrics;
    Logger& logger;
  };

  // Looks at once and then every INTERVAL, on a thread of its own. What CONTEXT names outlives
  // this.
  CredentialWatcher(absl::Duration interval, const Context& context);
  ~CredentialWatcher();
  CredentialWatcher(const CredentialWatcher&) = delete;
  CredentialWatcher& operator=(const CredentialWatcher&) = delete;

 private:
  void Look();
  void LookAtTokens();
  void LookAtCertificates();
  void Failed(const char* kind, const absl::Status& status, std::string& last);

  const absl::Duration interval_;
  const Context context_;
  // The last fault, so that it is logged and counted once and not at every look.
  std::string tokens_fault_;
  std::string certificates_fault_;
  absl::Time exported_end_;
  absl::Notification end_;
  std::thread thread_;  // last: starts when all is there
};

}  // namespace contexture
