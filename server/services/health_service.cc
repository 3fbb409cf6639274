#include "server/services/health_service.h"

#include <utility>

#include "contexture/v1/encoder.grpc.pb.h"
#include "contexture/v1/tasks.grpc.pb.h"
#include "server/services/server_stream.h"

namespace contexture {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// Sends the latest state of one name; states that change faster than the caller reads are skipped.
class HealthService::WatchStream final : public grpc::ServerWriteReactor<HealthCheckResponse>,
                                         public ServerStream {
 public:
  explicit WatchStream(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  void Keep(std::shared_ptr<WatchStream> self) { self_ = std::move(self); }

  void Notify(Status status) {
    {
      absl::MutexLock lock(&mutex_);
      wanted_ = status;
    }
    Pump();
  }
  void Stop() override { End(/*deliver=*/true); }
  void OnCancel() override { End(/*deliver=*/false); }
  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      if (!ok) broken_ = stopped_ = true;
    }
    Pump();
  }
  void OnDone() override { auto self = std::move(self_); }

 private:
  void End(bool deliver) {
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
      if (!deliver) broken_ = true;
    }
    Pump();
  }
  Action NextAction() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) override {
    if (writing_) return Action::kNone;
    if (!broken_ && wanted_ != sent_) {
      writing_ = true;
      sent_ = wanted_;
      response_.set_status(static_cast<Status>(sent_));
      return Action::kWrite;
    }
    return stopped_ ? Action::kFinish : Action::kNone;
  }
  void Start(Action action) override {
    if (action == Action::kWrite) return StartWrite(&response_);
    Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the server is shutting down"));
  }

  const std::string name_;
  std::shared_ptr<WatchStream> self_;  // until OnDone
  HealthCheckResponse response_;       // of the outstanding write
  int wanted_ ABSL_GUARDED_BY(mutex_) = -1;
  int sent_ ABSL_GUARDED_BY(mutex_) = -1;  // -1: nothing yet
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
};

HealthService::HealthService() {
  absl::MutexLock lock(&mutex_);
  statuses_[kLiveness] = HealthCheckResponse::SERVING;
  for (const char* name : {"", "readiness", v1::EncoderService::service_full_name(),
                           v1::TaskService::service_full_name()}) {
    statuses_[name] = HealthCheckResponse::NOT_SERVING;
  }
}

HealthService::~HealthService() = default;

void HealthService::SetServing(bool serving) {
  {
    absl::MutexLock lock(&mutex_);
    if (shut_down_) return;
    SetStatuses(serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
  }
  NotifyWatchers();
}

void HealthService::SetLive(bool live) {
  {
    absl::MutexLock lock(&mutex_);
    statuses_[kLiveness] = live ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  }
  NotifyWatchers();
}

void HealthService::Shutdown() {
  std::vector<std::weak_ptr<WatchStream>> watchers;
  {
    absl::MutexLock lock(&mutex_);
    shut_down_ = true;
    SetStatuses(HealthCheckResponse::NOT_SERVING);
    watchers = watchers_;
  }
  NotifyWatchers();
  for (const auto& weak : watchers) {
    if (auto watcher = weak.lock()) watcher->Stop();
  }
}

void HealthService::SetStatuses(Status status) {
  for (auto& [name, current] : statuses_) {
    if (name != kLiveness) current = status;
  }
}

// Each watcher is told the state at the time of telling, so that the order of two callers does not
// matter.
void HealthService::NotifyWatchers() {
  absl::MutexLock lock(&mutex_);
  Prune();
  for (const auto& weak : watchers_) {
    if (auto watcher = weak.lock()) watcher->Notify(StatusOf(watcher->name()));
  }
}

// The bound doubles with what is left, so that many open watches do not make each new one slow.
void HealthService::Prune() {
  constexpr size_t kFewest = 16;
  std::erase_if(watchers_, [](const auto& weak) { return weak.expired(); });
  prune_at_ = 2 * watchers_.size() + kFewest;
}

HealthService::Status HealthService::StatusOf(const std::string& name) {
  const auto found = statuses_.find(name);
  return found == statuses_.end() ? HealthCheckResponse::SERVICE_UNKNOWN : found->second;
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* context,
                                               const HealthCheckRequest* request,
                                               HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  {
    absl::MutexLock lock(&mutex_);
    response->set_status(StatusOf(request->service()));
  }
  if (response->status() == HealthCheckResponse::SERVICE_UNKNOWN) {
    reactor->Finish(grpc::Status(grpc::StatusCode::NOT_FOUND, "no service has this name"));
  } else {
    reactor->Finish(grpc::Status::OK);
  }
  return reactor;
}

grpc::ServerUnaryReactor* HealthService::List(grpc::CallbackServerContext* context,
                                              const grpc::health::v1::HealthListRequest*,
                                              grpc::health::v1::HealthListResponse* response) {
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [name, status] : statuses_) {
      (*response->mutable_statuses())[name].set_status(status);
    }
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(
    grpc::CallbackServerContext*, const HealthCheckRequest* request) {
  auto stream = std::make_shared<WatchStream>(request->service());
  WatchStream* reactor = stream.get();
  reactor->Keep(stream);
  absl::MutexLock lock(&mutex_);
  reactor->Notify(StatusOf(request->service()));
  if (shut_down_) {
    reactor->Stop();
  } else {
    // The state may never change, and callers who poll with Watch leave an ended one each time.
    if (watchers_.size() >= prune_at_) Prune();
    watchers_.push_back(stream);
  }
  return reactor;
}

}  // namespace contexture
