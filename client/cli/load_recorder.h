#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/latency_histogram.h"
#include "client/cli/load_plan.h"

namespace contexture::cli {

// How one request went. Times are since the start of the load.
struct CallOutcome {
  size_t traffic_class = 0;  // its index
  absl::StatusCode code = absl::StatusCode::kOk;
  bool leaves = false;  // its caller cancels
  bool sent = true;     // false: its deadline passed before there was a free call
  absl::Duration due;
  absl::Duration started;
  absl::Duration finished;
  uint64_t tokens = 0;
};

// What is counted of a class of traffic, or of all.
struct LoadCounts {
  uint64_t requests = 0;  // due in the measured time
  uint64_t in_time = 0;   // answered OK within the deadline
  uint64_t late = 0;      // answered OK after it
  uint64_t refused = 0;   // RESOURCE_EXHAUSTED
  uint64_t unsent = 0;
  uint64_t cancelled = 0;                  // by callers who left
  std::map<std::string, uint64_t> failed;  // by code, everything else
  uint64_t tokens_in_time = 0;
  // Of answers that came within the measured time, whenever they were due: the rate of a server
  // that is overloaded and does not refuse.
  uint64_t answered = 0;
  uint64_t tokens_answered = 0;
  LatencyHistogram latency;          // of OK, from the due time
  LatencyHistogram refused_latency;  // of refusals, from the due time
};

// The part of a load that is measured.
struct MeasuredTime {
  absl::Duration begin;  // after a warm-up
  absl::Duration end;
  absl::Duration deadline = absl::InfiniteDuration();
};

// Counts outcomes. Latency runs from when a request was due, not from when it was sent: a generator
// or server that stalls delays those behind it, and their callers would have waited ("coordinated
// omission" hides that). Not thread safe.
class LoadRecorder {
 public:
  LoadRecorder(const std::vector<TrafficClass>& classes, MeasuredTime time);
  void Record(const CallOutcome& outcome);

  const LoadCounts& total() const { return total_; }
  const LoadCounts& of_class(size_t index) const { return classes_[index]; }
  // How long after its due time a request was sent: what the generator itself adds.
  const LatencyHistogram& send_delay() const { return send_delay_; }

 private:
  void Count(const CallOutcome& outcome, LoadCounts& counts) const;

  const MeasuredTime time_;
  LoadCounts total_;
  std::vector<LoadCounts> classes_;
  LatencyHistogram send_delay_;
};

}  // namespace contexture::cli
