#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "server/batching/task.h"

namespace contexture {

// What a batch was, or work that shares none, for the metrics and the cost model.
struct BatchRecord {
  int64_t sequences = 0;  // 0: such work
  int64_t tokens = 0;
  int64_t squares = 0;  // sum of the squared lengths
  absl::Duration compute_time = absl::ZeroDuration();
  bool helped = false;  // whether other workers computed some of it
};

// What waits.
struct QueueRecord {
  int64_t tasks = 0;
  int64_t tokens = 0;
  // How long an interactive task without deadline would wait if it arrived now.
  absl::Duration predicted_wait = absl::ZeroDuration();
};

// How tasks got their results: by their own computation, by that of an equal one in flight, or from
// the cache.
enum class Sharing { kComputed, kJoined, kCached };
inline constexpr int kNumSharings = 3;

// What the batcher reports while it works. Implemented over Prometheus in server/metrics. All
// functions are called from many threads at once and must not block; SetQueue is called under the
// batcher's lock.
class BatcherMetrics {
 public:
  virtual ~BatcherMetrics() = default;
  // What waits now, after each change.
  virtual void SetQueue(const QueueRecord& queue) = 0;
  // A batch or other work was computed, whatever came of it.
  virtual void RecordBatch(const BatchRecord& batch) = 0;
  // A task waited this long for the start of its batch.
  virtual void RecordQueueTime(absl::Duration queue_time) = 0;
  // Tasks left the queue without computation.
  virtual void RecordExpired(int64_t tasks) = 0;
  virtual void RecordCancelled(int64_t tasks) = 0;
  // Tokens were computed for callers who had left by then.
  virtual void RecordAbandoned(int64_t tokens) = 0;
  virtual void RecordSharing(Sharing sharing, int64_t tasks) = 0;
  // What the cache of results holds.
  virtual void SetCacheBytes(int64_t bytes) = 0;
  // Tokens of a class were computed.
  virtual void RecordComputed(TrafficClass traffic_class, int64_t tokens) = 0;
};

}  // namespace contexture
