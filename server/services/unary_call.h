#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "contexture/v1/encoder.pb.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"
#include "grpcpp/support/server_callback.h"
#include "server/metrics/registry.h"
#include "server/services/backend.h"
#include "server/services/call_record.h"
#include "server/services/caller.h"
#include "server/services/message_fields.h"
#include "server/services/method_names.h"
#include "server/services/wire.h"

namespace contexture {

// What gRPC hands to a unary method that takes its messages as bytes.
struct UnaryContext {
  grpc::CallbackServerContext* context = nullptr;
  const grpc::ByteBuffer* request = nullptr;
  grpc::ByteBuffer* response = nullptr;
};

// What a service gives to its calls; outlives them.
struct CallSurroundings {
  const Clock& clock;
  ServerMetrics& metrics;
  Telemetry telemetry = {};
};

// Null: the method computes nothing.
template <typename Response>
const v1::Usage* UsageOf(const Response& response) {
  if constexpr (requires { response.usage(); }) {
    return &response.usage();
  } else {
    return nullptr;
  }
}

// The reactor of a unary call: parses, hands over, replies, counts. Deletes itself.
template <typename Request, typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(const UnaryContext& context, Method method, const CallSurroundings& surroundings)
      : context_(context),
        method_(method),
        clock_(surroundings.clock),
        metrics_(surroundings.metrics),
        start_(clock_.Now()) {
    CallOrigin origin = OriginOf(*context_.context, surroundings.telemetry);
    context_.context->AddTrailingMetadata(kRequestIdMetadata, origin.request_id);
    record_ = CallRecord(surroundings.telemetry, std::move(origin), FullName(method), start_);
  }

  // Reads the message and what the metadata say. When the caller leaves from now on, the backend
  // forgets what waits under cancelled(). INVALID_ARGUMENT; RESOURCE_EXHAUSTED: the calls under way
  // leave no memory for this one.
  absl::Status ParseRequest(const SharedBackend& backend) {
    backend_ = &backend;
    CTX_ASSIGN_OR_RETURN(caller_, CallerOf(*context_.context));
    caller_.trace = record_.trace();
    memory_ = MemoryLease(backend.memory);
    // The elements of a tensor's shape are eight times as large parsed.
    constexpr int kTimes = std::is_same_v<Request, v1::AttendRequest> ? 2 : 1;
    const auto length = static_cast<int64_t>(context_.request->Length());
    CTX_RETURN_IF_ERROR(memory_.Grow(kTimes * RequestMemory(length)));
    CTX_RETURN_IF_ERROR(
        CheckFields(*context_.request, backend.max_inputs_per_request, *Request::descriptor()));
    return Parse(*context_.request, request_);
  }
  const Caller& caller() const { return caller_; }
  const Request& request() const { return request_; }
  Response& response() { return response_; }
  absl::Duration Deadline(absl::Duration default_timeout) const {
    return DeadlineOf(*context_.context, clock_, default_timeout);
  }
  std::shared_ptr<const std::atomic<bool>> cancelled() const { return cancelled_; }

  // Grows with the answer.
  MemoryLease& memory() { return memory_; }

  // Exactly once, from any thread; the call may be gone when it returns.
  void Reply(absl::Status status) {
    const absl::Duration computed = clock_.Now();
    if (status.ok()) status = Serialize(response_, *context_.response);
    record_.Answer(status, UsageOf(response_), computed);
    metrics_.RecordRequest(method_, status.code(), clock_.Now() - start_);
    if (status.code() == absl::StatusCode::kResourceExhausted) {
      context_.context->AddTrailingMetadata(kPushbackTrailer, PushbackMilliseconds(status));
    }
    if (const SharedBackend* backend = backend_) AddLoadReport(*backend, *context_.context);
    Finish(ToGrpcStatus(status));
  }

  void OnCancel() override {
    *cancelled_ = true;
    if (const SharedBackend* backend = backend_) backend->batcher.Forget(cancelled_.get());
  }
  void OnDone() override {
    const SharedBackend* backend = backend_;
    record_.End(clock_.Now());
    delete this;
    if (backend != nullptr) backend->gate.Notify();
  }

 private:
  const UnaryContext context_;
  const Method method_;
  const Clock& clock_;
  ServerMetrics& metrics_;
  const absl::Duration start_;
  CallRecord record_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::atomic<const SharedBackend*> backend_{nullptr};  // null: not parsed yet
  MemoryLease memory_;
  Caller caller_;
  Request request_;
  Response response_;
};

}  // namespace contexture
