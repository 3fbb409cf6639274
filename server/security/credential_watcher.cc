#include "server/security/credential_watcher.h"

#include <algorithm>

namespace contexture {

CredentialWatcher::CredentialWatcher(absl::Duration interval, const Context& context)
    : interval_(std::max(interval, absl::Seconds(1))), context_(context) {
  Look();
  if (context_.certificates == nullptr && !context_.authorizer.required()) return;
  thread_ = std::thread([this] {
    while (!end_.WaitForNotificationWithTimeout(interval_)) Look();
  });
}

CredentialWatcher::~CredentialWatcher() {
  end_.Notify();
  if (thread_.joinable()) thread_.join();
}

void CredentialWatcher::Look() {
  LookAtTokens();
  if (context_.certificates != nullptr) LookAtCertificates();
}

void CredentialWatcher::LookAtTokens() {
  const absl::StatusOr<bool> reloaded = context_.authorizer.Reload();
  if (!reloaded.ok()) return Failed("tokens", reloaded.status(), tokens_fault_);
  tokens_fault_.clear();
  if (*reloaded) context_.logger.Info("tokens_reloaded");
}

void CredentialWatcher::LookAtCertificates() {
  const absl::Status refreshed = context_.certificates->Refresh();
  if (!refreshed.ok()) return Failed("certificate", refreshed, certificates_fault_);
  certificates_fault_.clear();
  const absl::Time end = context_.certificates->end();
  if (end == exported_end_) return;
  exported_end_ = end;
  context_.metrics.SetCertificateEnd(end);
  context_.logger.Info("certificate",
                       {{"ends", absl::FormatTime(absl::RFC3339_sec, end, absl::UTCTimeZone())}});
}

void CredentialWatcher::Failed(const char* kind, const absl::Status& status, std::string& last) {
  if (last == status.message()) return;
  last = std::string(status.message());
  context_.metrics.RecordReloadFailure(kind);
  context_.logger.Error("credentials_not_reloaded", {{"kind", kind}, {"reason", last}});
}

}  // namespace contexture
