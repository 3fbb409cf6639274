#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "contexture/v1/encoder.pb.h"
#include "core/base/clock.h"
#include "server/log.h"
#include "server/tracing/tracer.h"

namespace contexture {

// What the line of a call says; what it names stays valid while it is written.
struct CallLine {
  absl::string_view request_id;
  absl::string_view method;
  const absl::Status& status;
  absl::Duration duration;
  const v1::Usage* usage = nullptr;    // null: the method has none
  const SpanContext* trace = nullptr;  // null: not sampled
};

// One line for each call that failed (`call_failed`) or was slow (`call_slow`), with its request id
// and the reason of its status; never its message, which may name an id of the request. Thread
// safe; never blocks: a line that the reader of the log does not take is dropped.
class CallLog {
 public:
  struct Options {
    absl::Duration slow = absl::InfiniteDuration();  // calls that take longer
    // More lines are left out; the next one says how many. An overloaded server fails thousands.
    int lines_per_second = 100;
  };

  // Both outlive this.
  CallLog(const Options& options, Logger& logger, const Clock& clock)
      : options_(options), logger_(logger), clock_(clock) {}

  // Writes LINE if its call failed or was slow.
  void Write(const CallLine& line);

 private:
  // Whether a line may be written now; then sets how many were left out before it.
  bool Take(int64_t& left_out) ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  Logger& logger_;
  const Clock& clock_;
  absl::Mutex mutex_;
  absl::Duration second_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();  // when it began
  int lines_ ABSL_GUARDED_BY(mutex_) = 0;                                 // since then
  int64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace contexture
