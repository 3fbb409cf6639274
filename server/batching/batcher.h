#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "core/base/clock.h"
#include "core/engine/engine.h"
#include "server/batching/task.h"

namespace contexture {

struct BatcherOptions {
  // Worker threads, each computing its own batches with its own Workspace. Default: the caller
  // passes the granted cores (core/base/cpu_info.h).
  int num_workers = 1;
  // Tokens of one batch. Default and reason: EngineOptions::max_batch_tokens.
  int max_batch_tokens = 512;
  // Bound of the queue. Past it Schedule refuses: work that would wait longer than callers do is
  // better refused at once. A request that meets an empty queue is always taken, whatever its size.
  int64_t max_queue_tokens = 1 << 18;
};

class BatcherMetrics;  // what the batcher reports: server/batching/batcher_metrics.h

// Groups the tasks of all callers into batches of up to max_batch_tokens and runs them on its
// workers. A batch is dispatched as soon as a worker is idle; nothing waits for a fuller one.
// Thread safe.
class Batcher {
 public:
  virtual ~Batcher() = default;  // answers everything that is still queued with UNAVAILABLE
  // Takes all tasks of one request or none; never blocks. Ownership moves only on OK.
  // RESOURCE_EXHAUSTED: the queue is full (the message says tokens waiting and the limit).
  // UNAVAILABLE: draining.
  virtual absl::Status Schedule(std::vector<Task>& tasks) = 0;
  // Refuses new tasks from now on and blocks until everything admitted has been answered.
  virtual void Drain() = 0;
  virtual int64_t queued_tokens() const = 0;
  virtual int64_t queued_tasks() const = 0;
};

std::unique_ptr<Batcher> NewBatcher(const Engine& engine, const BatcherOptions& options,
                                    const Clock& clock, BatcherMetrics& metrics);

}  // namespace contexture
