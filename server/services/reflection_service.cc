#include "server/services/reflection_service.h"

#include <utility>

#include "server/services/refused_stream.h"
#include "server/services/wire.h"

namespace contexture {
namespace {

using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;

// One answer for each request, in order. Keeps itself alive.
class ReflectionStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                               public ServerStream {
 public:
  explicit ReflectionStream(const ReflectionCatalog& catalog) : catalog_(catalog) {}

  void Begin(std::shared_ptr<ReflectionStream> self) {
    self_ = std::move(self);
    Pump();
  }
  void Stop() override { End(absl::OkStatus()); }
  void OnCancel() override { End(MakeError(ErrorReason::kCancelled, "the caller cancelled")); }
  void OnDone() override { auto self = std::move(self_); }

  void OnReadDone(bool ok) override {
    ServerReflectionRequest request;
    absl::Status status = ok ? Parse(read_buffer_, request) : absl::OkStatus();
    if (ok && status.ok()) status = Serialize(catalog_.Answer(request), write_buffer_);
    if (!ok || !status.ok()) return End(std::move(status));
    {
      absl::MutexLock lock(&mutex_);
      state_ = State::kAnswered;
    }
    Pump();
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return End(MakeError(ErrorReason::kCancelled, "the answer could not be written"));
    {
      absl::MutexLock lock(&mutex_);
      state_ = State::kIdle;
    }
    Pump();
  }

 private:
  enum class State { kIdle, kReading, kAnswered, kWriting };

  void End(absl::Status status) {
    {
      absl::MutexLock lock(&mutex_);
      if (!ended_) final_status_ = ToGrpcStatus(status);
      ended_ = true;
    }
    Pump();
  }
  Action NextAction() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) override {
    if (ended_) return Action::kFinish;
    if (state_ == State::kIdle) {
      state_ = State::kReading;
      return Action::kRead;
    }
    if (state_ == State::kAnswered) {
      state_ = State::kWriting;
      return Action::kWrite;
    }
    return Action::kNone;
  }
  void Start(Action action) override {
    if (action == Action::kRead) return StartRead(&read_buffer_);
    if (action == Action::kWrite) return StartWrite(&write_buffer_);
    Finish(FinalStatus());
  }
  grpc::Status FinalStatus() {
    absl::MutexLock lock(&mutex_);
    return final_status_;
  }

  const ReflectionCatalog& catalog_;
  std::shared_ptr<ReflectionStream> self_;  // until OnDone
  grpc::ByteBuffer read_buffer_;
  grpc::ByteBuffer write_buffer_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kIdle;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status final_status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

ReflectionService::ReflectionService(std::vector<std::string> services)
    : catalog_(std::move(services)) {}

ReflectionService::Reactor* ReflectionService::Open(const grpc::ServerContextBase& context,
                                                    const char* method) {
  if (authorizer_ != nullptr) {
    const absl::Status status = authorizer_->Check(context, method);
    if (!status.ok()) return new RefusedStream(status);
  }
  auto stream = std::make_shared<ReflectionStream>(catalog_);
  ReflectionStream* reactor = stream.get();
  const bool kept = streams_.Add(stream);
  reactor->Begin(std::move(stream));
  if (!kept) reactor->Stop();
  return reactor;
}

}  // namespace contexture
