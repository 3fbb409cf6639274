#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace contexture {

// What a batch was, for the metrics.
struct BatchRecord {
  int64_t sequences = 0;
  int64_t tokens = 0;
  absl::Duration compute_time = absl::ZeroDuration();
};

// What the batcher reports while it works. Implemented over Prometheus in server/metrics. All
// functions are called from many threads at once and must not block; SetQueue is called under the
// batcher's lock.
class BatcherMetrics {
 public:
  virtual ~BatcherMetrics() = default;
  // What waits now, after each change.
  virtual void SetQueue(int64_t tasks, int64_t tokens) = 0;
  // A batch was computed, whatever came of it.
  virtual void RecordBatch(const BatchRecord& batch) = 0;
  // A task waited this long for the start of its batch.
  virtual void RecordQueueTime(absl::Duration queue_time) = 0;
  // Tasks left the queue without computation.
  virtual void RecordExpired(int64_t tasks) = 0;
  virtual void RecordCancelled(int64_t tasks) = 0;
};

}  // namespace contexture
