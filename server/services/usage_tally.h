#pragma once

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "contexture/v1/encoder.pb.h"
#include "server/batching/task.h"

namespace contexture {

// What the tasks of a request cost together. Not thread safe.
class UsageTally {
 public:
  // A task of TOKENS tokens. Whether it is the first of a batch that computed something.
  bool Add(const TaskReport& report, int tokens) {
    if (report.batch_tokens > 0) share_ += report.compute_time * tokens / report.batch_tokens;
    if (report.cached) return false;
    if (report.queue_time >= longest_wait_.queue_time) longest_wait_ = report;
    if (!batches_.insert(report.compute_time).second) return false;
    compute_time_ += report.compute_time;
    return report.compute_time > absl::ZeroDuration();
  }
  // Of the tasks so far; `cached` where none was computed.
  const TaskReport& longest_wait() const { return longest_wait_; }
  // But for the counts of tokens.
  v1::Usage usage() const {
    v1::Usage usage;
    usage.set_queue_seconds(absl::ToDoubleSeconds(longest_wait_.queue_time));
    usage.set_compute_seconds(absl::ToDoubleSeconds(compute_time_));
    usage.set_compute_share_seconds(absl::ToDoubleSeconds(share_));
    return usage;
  }

 private:
  TaskReport longest_wait_ = {.cached = true};
  absl::Duration compute_time_, share_;
  // A batch is told from the others by its duration in nanoseconds.
  absl::flat_hash_set<absl::Duration> batches_;
};

}  // namespace contexture
