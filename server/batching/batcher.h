#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "core/base/clock.h"
#include "server/batching/batcher_metrics.h"
#include "server/batching/task.h"
#include "server/batching/task_queue.h"

namespace contexture {

struct BatcherOptions {
  // Worker threads, each computing its own batches with its own Workspace. Default: the caller
  // passes the granted cores (core/base/cpu_info.h).
  int num_workers = 1;
  // Workers that may compute one batch together, while nothing waits; 1: none do.
  int intra_op_threads = 1;
  // Tokens of one batch. Default and reason: EngineOptions::max_batch_tokens.
  int max_batch_tokens = 512;
  // Bounds and order of what waits.
  QueueOptions queue = {};
  // See SchedulerOptions.
  absl::Duration target_p99 = absl::ZeroDuration();
  // Called by a worker that took tasks from the queue, when there may be room again; must be thread
  // safe and not block. May be null.
  std::function<void()> on_room = {};
  Tracer* tracer = nullptr;  // of batches; outlives the batcher; null: off
};

// Groups the tasks of all callers into batches of up to max_batch_tokens and runs them on its
// workers. A batch is of one model; all models share the workers and the queue. A batch is
// dispatched as soon as a worker is idle; nothing waits for a fuller one. Workers that stay idle
// help the others and leave for new work at once. Thread safe.
class Batcher {
 public:
  virtual ~Batcher() = default;  // answers everything that is still queued with UNAVAILABLE
  // Takes all tasks of one request, which have one model, class, tenant, deadline and caller, or
  // none; never blocks. Ownership moves only on OK. RESOURCE_EXHAUSTED with a Refusal: the queue is
  // full (the message says tokens waiting and the limit), or the request is predicted to be done
  // after its deadline, or would make others late (the message has the predicted wait).
  // UNAVAILABLE: draining. CANCELLED: the caller has left. DEADLINE_EXCEEDED: it passed before. One
  // that was admitted before (Task::takes_place) is refused by the last two alone.
  virtual absl::Status Schedule(std::vector<Task>& tasks) = 0;
  // The caller has left: what waits under this address of Task::cancelled leaves the queue at once
  // and is answered with CANCELLED, on this thread. Set the flag before.
  virtual void Forget(const void* caller) = 0;
  // Refuses new tasks from now on and blocks until everything admitted has been answered.
  virtual void Drain() = 0;
  // Half of what may wait of this class waits.
  virtual bool crowded(TrafficClass traffic_class) const = 0;
  virtual QueueRecord waiting() const = 0;
  // What has been learnt of MODEL's batches.
  virtual CostModel CostsOf(const ModelGeneration& model) const = 0;
};

// The tasks' models have workspaces for num_workers workers.
std::unique_ptr<Batcher> NewBatcher(const BatcherOptions& options, const Clock& clock,
                                    BatcherMetrics& metrics);

}  // namespace contexture
