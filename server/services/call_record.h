#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "contexture/v1/encoder.pb.h"
#include "grpcpp/server_context.h"
#include "server/batching/task.h"
#include "server/services/call_log.h"
#include "server/services/served_model.h"
#include "server/tracing/scoped_span.h"
#include "server/tracing/tracer.h"

namespace contexture {

// Where calls leave what they tell of themselves. What is null is off; both outlive every call.
struct Telemetry {
  Tracer* tracer = nullptr;
  CallLog* log = nullptr;
};

// The metadata that names a call for its caller's logs and ours; in each answer's trailer too.
inline constexpr char kRequestIdMetadata[] = "x-request-id";
inline constexpr size_t kMaxRequestIdBytes = 64;

// Who a call is.
struct CallOrigin {
  // The caller's, when it has 1 to kMaxRequestIdBytes letters, digits or any of -_.:/+=; else one
  // that is made up, unique among those of all servers.
  std::string request_id;
  // See TraceParent; empty without a tracer.
  std::string traceparent = "";
  std::string tracestate = "";
};
CallOrigin OriginOf(const grpc::ServerContextBase& context, const Telemetry& telemetry);

// What one call, or one request of a stream, leaves in the log and in traces. Answer and End come
// once and in this order. Not thread safe, but for trace().
class CallRecord {
 public:
  CallRecord() = default;  // leaves nothing
  // It came at START. METHOD, "package.Service/Method", is valid for ever.
  CallRecord(const Telemetry& telemetry, CallOrigin origin, absl::string_view method,
             absl::Duration start);

  // Null: not sampled.
  const std::shared_ptr<CallTrace>& trace() const { return trace_; }
  // Everything is computed and STATUS known; what follows is the phase `respond`. USAGE is null
  // where the method has none. NOW is that of Clock::Steady.
  void Answer(const absl::Status& status, const v1::Usage* usage, absl::Duration now);
  // The transport took the answer.
  void End(absl::Duration now);

 private:
  CallLog* log_ = nullptr;
  absl::string_view method_;
  std::string request_id_;
  std::shared_ptr<CallTrace> trace_;
  absl::Duration start_;
  absl::Duration answered_;
  absl::StatusCode code_ = absl::StatusCode::kUnknown;
};

// Adds to TRACE the spans of a task, which REPORT says has waited, and been computed by MODEL.
void TraceQueue(CallTrace& trace, const TaskReport& report);
void TraceCompute(CallTrace& trace, const TaskReport& report, const ServedModel& model);

}  // namespace contexture
