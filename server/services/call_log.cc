#include "server/services/call_log.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/services/status_mapping.h"

namespace contexture {
namespace {

using Code = absl::StatusCode;

// The server's own faults, those of its load and of credentials, and what the caller got wrong.
Severity SeverityOf(Code code) {
  switch (code) {
    case Code::kInternal:
    case Code::kUnknown:
    case Code::kDataLoss:
      return Severity::kError;
    case Code::kResourceExhausted:
    case Code::kDeadlineExceeded:
    case Code::kUnavailable:
    case Code::kUnauthenticated:
    case Code::kPermissionDenied:
      return Severity::kWarning;
    default:
      return Severity::kInfo;
  }
}

std::string Milliseconds(absl::Duration duration) {
  return absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(duration));
}

std::string Hex(absl::Span<const uint8_t> bytes) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

bool CallLog::Take(int64_t& left_out) {
  const absl::Duration now = clock_.Now();
  absl::MutexLock lock(&mutex_);
  if (now - second_ >= absl::Seconds(1)) {
    second_ = now;
    lines_ = 0;
  }
  if (lines_ >= options_.lines_per_second) {
    ++left_out_;
    return false;
  }
  ++lines_;
  left_out = left_out_;
  left_out_ = 0;
  return true;
}

void CallLog::Write(const CallLine& line) {
  const bool failed = !line.status.ok();
  if (!failed && line.duration <= options_.slow) return;
  const Severity severity = failed ? SeverityOf(line.status.code()) : Severity::kWarning;
  int64_t left_out = 0;
  if (!logger_.Wants(severity) || !Take(left_out)) return;
  Logger::Fields fields = {{"request_id", std::string(line.request_id)},
                           {"method", std::string(line.method)},
                           {"code", std::string(CodeName(line.status.code()))}};
  if (failed) fields.emplace_back("reason", ReasonName(line.status));
  fields.emplace_back("duration_ms", Milliseconds(line.duration));
  if (line.usage != nullptr && line.usage->token_count() > 0) {
    fields.emplace_back("tokens", absl::StrCat(line.usage->token_count()));
    fields.emplace_back("queue_ms", Milliseconds(absl::Seconds(line.usage->queue_seconds())));
    fields.emplace_back("compute_ms", Milliseconds(absl::Seconds(line.usage->compute_seconds())));
  }
  if (line.trace != nullptr) fields.emplace_back("trace_id", Hex(line.trace->trace_id));
  if (left_out > 0) fields.emplace_back("lines_left_out", absl::StrCat(left_out));
  logger_.TryWrite(severity, failed ? "call_failed" : "call_slow", fields);
}

}  // namespace contexture
