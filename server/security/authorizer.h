#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/server_context.h"
#include "server/metrics/access_metrics.h"
#include "server/security/token_set.h"

namespace contexture {

// Who may call what: the bearer tokens of a file (RFC 6750, in the metadata `authorization`), which
// can be replaced while serving. Thread safe.
class Authorizer {
 public:
  // PATH empty: everybody may call everything. NOT_FOUND: it cannot be read; INVALID_ARGUMENT: a
  // line of it is not understood. METRICS outlives this.
  static absl::StatusOr<std::unique_ptr<Authorizer>> Open(const std::string& path,
                                                          AccessMetrics& metrics);

  // May the caller of CONTEXT call METHOD ("package.Service/Method")? UNAUTHENTICATED: without a
  // token that is known and valid; PERMISSION_DENIED: with one for other methods. Counts what it
  // refuses.
  absl::Status Check(const grpc::ServerContextBase& context, absl::string_view method) const;

  // Takes the file anew if it has changed; true when it did. On an error the old tokens stay.
  absl::StatusOr<bool> Reload();

  bool required() const { return !path_.empty(); }

 private:
  Authorizer(std::string path, AccessMetrics& metrics);
  absl::Status CheckTokens(const grpc::ServerContextBase& context, absl::string_view method) const;

  const std::string path_;
  AccessMetrics& metrics_;
  mutable absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);  // of the file that tokens_ was read from
  std::shared_ptr<const TokenSet> tokens_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contexture
