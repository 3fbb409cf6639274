#include "client/cli/load_recorder.h"

#include "client/status_conversion.h"

namespace contexture::cli {

LoadRecorder::LoadRecorder(const std::vector<TrafficClass>& classes, MeasuredTime time)
    : time_(time), classes_(classes.size()) {}

void LoadRecorder::Record(const CallOutcome& outcome) {
  Count(outcome, total_);
  Count(outcome, classes_[outcome.traffic_class]);
  if (outcome.sent && outcome.due >= time_.begin && outcome.due < time_.end) {
    send_delay_.Record(outcome.started - outcome.due);
  }
}

void LoadRecorder::Count(const CallOutcome& outcome, LoadCounts& counts) const {
  const bool ok = outcome.sent && outcome.code == absl::StatusCode::kOk;
  if (ok && outcome.finished >= time_.begin && outcome.finished < time_.end) {
    ++counts.answered;
    counts.tokens_answered += outcome.tokens;
  }
  if (outcome.due < time_.begin || outcome.due >= time_.end) return;
  ++counts.requests;
  const absl::Duration latency = outcome.finished - outcome.due;
  if (!outcome.sent) {
    ++counts.unsent;
  } else if (ok) {
    counts.latency.Record(latency);
    const bool in_time = latency <= time_.deadline;
    ++(in_time ? counts.in_time : counts.late);
    if (in_time) counts.tokens_in_time += outcome.tokens;
  } else if (outcome.code == absl::StatusCode::kResourceExhausted) {
    ++counts.refused;
    counts.refused_latency.Record(latency);
  } else if (outcome.leaves && outcome.code == absl::StatusCode::kCancelled) {
    ++counts.cancelled;
  } else {
    ++counts.failed[client::CodeName(outcome.code)];
  }
}

}  // namespace contexture::cli
