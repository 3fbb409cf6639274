#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace contexture {

// The health service of this server. gRPC 1.51's own one keeps Watch streams open, so that every
// shutdown lasts to its deadline; this one ends them. All names but "liveness" follow the server's
// readiness. Thread safe.
class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  static constexpr char kLiveness[] = "liveness";

  HealthService();            // NOT_SERVING; "liveness" SERVING
  ~HealthService() override;  // no stream may be open

  void SetServing(bool serving);
  // "liveness": whether the process is of use, or should be started anew.
  void SetLive(bool live);
  // NOT_SERVING for good, then ends all Watch streams with UNAVAILABLE, and new ones after their
  // first message. Never blocks.
  void Shutdown();

 private:
  class WatchStream;
  using Status = grpc::health::v1::HealthCheckResponse::ServingStatus;

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const grpc::health::v1::HealthListRequest* request,
                                 grpc::health::v1::HealthListResponse* response) override;
  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* context,
      const grpc::health::v1::HealthCheckRequest* request) override;

  void SetStatuses(Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NotifyWatchers();
  // Forgets the watches that have ended.
  void Prune() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status StatusOf(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Status> statuses_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<WatchStream>> watchers_ ABSL_GUARDED_BY(mutex_);
  size_t prune_at_ ABSL_GUARDED_BY(mutex_) = 0;  // watchers_ is pruned when it has as many
};

}  // namespace contexture
