#pragma once

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "contexture/v1/encoder.pb.h"
#include "server/batching/task.h"

namespace contexture {

// What the tasks of a request cost together. Not thread safe.
class UsageTally {
 public:
  // A task of TOKENS tokens.
  void Add(const TaskReport& report, int tokens) {
    if (report.batch_tokens > 0) share_ += report.compute_time * tokens / report.batch_tokens;
    queue_time_ = std::max(queue_time_, report.queue_time);
    if (!report.cached && batches_.insert(report.compute_time).second) {
      compute_time_ += report.compute_time;
    }
  }
  // But for the counts of tokens.
  v1::Usage usage() const {
    v1::Usage usage;
    usage.set_queue_seconds(absl::ToDoubleSeconds(queue_time_));
    usage.set_compute_seconds(absl::ToDoubleSeconds(compute_time_));
    usage.set_compute_share_seconds(absl::ToDoubleSeconds(share_));
    return usage;
  }

 private:
  absl::Duration queue_time_, compute_time_, share_;
  // A batch is told from the others by its duration in nanoseconds.
  absl::flat_hash_set<absl::Duration> batches_;
};

}  // namespace contexture
