#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "grpcpp/support/server_callback.h"
#include "server/metrics/registry.h"
#include "server/services/wire.h"

namespace contexture {

// What gRPC hands to a unary method that takes its messages as bytes.
struct UnaryContext {
  grpc::CallbackServerContext* context = nullptr;
  const grpc::ByteBuffer* request = nullptr;
  grpc::ByteBuffer* response = nullptr;
};

// The reactor of a unary call: parses, hands over, replies, counts. Deletes itself.
template <typename Request, typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(const UnaryContext& context, Method method, const Clock& clock, ServerMetrics& metrics)
      : context_(context), method_(method), clock_(clock), metrics_(metrics), start_(clock.Now()) {}

  absl::Status ParseRequest() { return Parse(*context_.request, request_); }
  const Request& request() const { return request_; }
  Response& response() { return response_; }
  absl::Duration Deadline(absl::Duration default_timeout) const {
    return DeadlineOf(*context_.context, clock_, default_timeout);
  }
  std::shared_ptr<const std::atomic<bool>> cancelled() const { return cancelled_; }

  // Exactly once, from any thread; the call may be gone when it returns.
  void Reply(absl::Status status) {
    if (status.ok()) status = Serialize(response_, *context_.response);
    metrics_.RecordRequest(method_, status.code(), clock_.Now() - start_);
    if (status.code() == absl::StatusCode::kResourceExhausted) {
      const int64_t delay = absl::ToInt64Milliseconds(RetryDelay(WithDetails(status)));
      context_.context->AddTrailingMetadata(kPushbackTrailer, absl::StrCat(delay));
    }
    Finish(ToGrpcStatus(status));
  }

  void OnCancel() override { *cancelled_ = true; }
  void OnDone() override { delete this; }

 private:
  const UnaryContext context_;
  const Method method_;
  const Clock& clock_;
  ServerMetrics& metrics_;
  const absl::Duration start_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  Request request_;
  Response response_;
};

}  // namespace contexture
