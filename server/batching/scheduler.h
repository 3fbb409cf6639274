#pragma once

#include <array>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/batching/admission.h"
#include "server/batching/batch_policy.h"
#include "server/batching/batch_size_controller.h"
#include "server/batching/batcher_metrics.h"
#include "server/batching/task_queue.h"

namespace contexture {

struct SchedulerOptions {
  int num_workers = 1;
  // Workers that may compute one batch together.
  int intra_op_threads = 1;
  BatchPolicyOptions policy;
  QueueOptions queue = {};
  // Within which 99 of 100 interactive requests should be done; zero: batches are as large as
  // `policy` allows.
  absl::Duration target_p99 = absl::ZeroDuration();
};

// Every decision about what is computed when: admission, order, batches, and what is learnt from
// them. Pure: time is given, and workers are numbers that ask and report. The cost models of the
// tasks' models are its own: nobody else asks them meanwhile. See docs/scheduling.md. Not thread
// safe.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  // See Batcher::Schedule, which knows besides of callers who left and of drains. When an exception
  // is thrown, nothing was taken.
  absl::Status Schedule(absl::Span<Task> tasks, absl::Duration now);
  // WORKER, which is idle, takes what it shall compute now, and what shall be answered without.
  void Take(int worker, absl::Duration now, Departures& departures);
  // How many of the other workers may help WORKER with the batch that it has just taken: the idle
  // ones, while nothing waits and the batch takes longer than waking them is worth. They stay idle
  // in what else is decided.
  int HelpersFor(int worker) const;
  // WORKER is idle again. SAMPLE may be empty.
  void Finish(int worker, const CostSample& sample, absl::Duration now);
  // See TaskQueue.
  void RemoveOf(const void* caller, std::vector<QueuedTask>& destination) {
    queue_.RemoveOf(caller, destination);
  }
  void RemoveAll(std::vector<QueuedTask>& destination) { queue_.RemoveAll(destination); }

  QueueRecord Waiting(absl::Duration now) const;
  const TaskQueue& queue() const { return queue_; }

 private:
  struct Worker {
    bool idle = true;
    std::shared_ptr<ModelGeneration> model = {};       // of its batch
    absl::Duration busy_until = absl::ZeroDuration();  // as predicted; past: it is overdue
    // As predicted, of its sequences: what can be shared.
    absl::Duration sequence_time = absl::ZeroDuration();
    std::vector<absl::Duration> enqueued = {};  // of its interactive tasks
  };

  // Sets the tasks' predicted waits.
  absl::Status Admit(absl::Span<Task> tasks, absl::Duration now) const;
  void LearnWait(const QueuedTask& task, absl::Duration now);
  // What the task adds to the work of all workers together.
  absl::Duration CostOf(const Task& task) const;
  absl::Duration Running(absl::Duration now) const;  // see AdmissionSituation

  const int intra_op_threads_;
  const BatchPolicyOptions policy_;
  TaskQueue queue_;
  BatchSizeController batch_size_;
  std::vector<Worker> workers_;
  // See AdmissionSituation; by class.
  std::array<double, kNumTrafficClasses> wait_ratios_;
};

}  // namespace contexture
