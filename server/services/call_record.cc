#include "server/services/call_record.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/services/caller.h"
#include "server/services/status_mapping.h"

namespace contexture {
namespace {

bool IsRequestId(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxRequestIdBytes &&
         std::all_of(text.begin(), text.end(), [](unsigned char byte) {
           return absl::ascii_isalnum(byte) || absl::StrContains("-_.:/+=", byte);
         });
}

// 64 random bits of the process and a number.
std::string NewRequestId() {
  static const std::string& prefix = *[] {
    absl::BitGen random;
    return new std::string(
        absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16), "-"));
  }();
  static std::atomic<uint64_t> next{0};
  return absl::StrCat(prefix,
                      absl::Hex(next.fetch_add(1, std::memory_order_relaxed), absl::kZeroPad8));
}

}  // namespace

CallOrigin OriginOf(const grpc::ServerContextBase& context, const Telemetry& telemetry) {
  const absl::string_view given = MetadataOf(context, kRequestIdMetadata);
  CallOrigin origin{.request_id = IsRequestId(given) ? std::string(given) : NewRequestId()};
  if (telemetry.tracer == nullptr) return origin;
  origin.traceparent = std::string(MetadataOf(context, "traceparent"));
  origin.tracestate = std::string(MetadataOf(context, "tracestate"));
  return origin;
}

CallRecord::CallRecord(const Telemetry& telemetry, CallOrigin origin, absl::string_view method,
                       absl::Duration start)
    : log_(telemetry.log),
      method_(method),
      request_id_(std::move(origin.request_id)),
      start_(start) {
  if (telemetry.tracer == nullptr) return;
  trace_ = telemetry.tracer->StartCall(method, {origin.traceparent, origin.tracestate}, start);
  if (trace_ != nullptr) trace_->Annotate({"contexture.request_id", request_id_});
}

void CallRecord::Answer(const absl::Status& status, const v1::Usage* usage, absl::Duration now) {
  answered_ = now;
  code_ = status.code();
  if (log_ != nullptr) {
    log_->Write({.request_id = request_id_,
                 .method = method_,
                 .status = status,
                 .duration = now - start_,
                 .usage = usage,
                 .trace = trace_ == nullptr ? nullptr : &trace_->context()});
  }
  if (trace_ == nullptr) return;
  if (!status.ok()) trace_->Annotate({"contexture.reason", ReasonName(status)});
  if (usage == nullptr) return;
  trace_->Annotate({"contexture.tokens", static_cast<int64_t>(usage->token_count())});
  trace_->Annotate({"contexture.cached_tokens", static_cast<int64_t>(usage->cached_token_count())});
}

void CallRecord::End(absl::Duration now) {
  if (trace_ == nullptr) return;
  trace_->AddChild({.name = "respond", .start = answered_, .end = now});
  trace_->End(code_, now);
  trace_.reset();
}

void TraceQueue(CallTrace& trace, const TaskReport& report) {
  trace.AddChild({.name = "queue", .start = report.start - report.queue_time, .end = report.start});
}

void TraceCompute(CallTrace& trace, const TaskReport& report, const ServedModel& model) {
  const SpanAttribute attributes[] = {
      {"contexture.model", model.name},
      {"contexture.precision", model.info.precision},
      {"contexture.batch_sequences", int64_t{report.batch_sequences}},
      {"contexture.batch_tokens", int64_t{report.batch_tokens}}};
  const bool linked = report.batch.valid();
  trace.AddChild({.name = "compute",
                  .start = report.start,
                  .end = report.start + report.compute_time,
                  .attributes = attributes,
                  .links = absl::MakeConstSpan(&report.batch, linked ? 1 : 0)});
}

}  // namespace contexture
