#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "contexture/v1/encoder.pb.h"
#include "server/services/backend.h"
#include "server/services/caller.h"
#include "server/services/request_plan.h"
#include "server/services/usage_tally.h"

namespace contexture {

// One Encode request on its way: plan, tokenize, schedule, merge. The answer's tensors are sized
// before anything is scheduled and the engine writes straight into them; whoever finishes last
// completes the call. Keeps itself alive until then.
class EncodeCall : public std::enable_shared_from_this<EncodeCall> {
 public:
  struct Job {
    const v1::EncodeRequest* request = nullptr;  // both must stay valid until `done` is called
    v1::EncodeResponse* response = nullptr;
    // Which of the request's inputs; the others have no result. num_inputs 0: all from the first
    // on.
    int first_input = 0;
    int num_inputs = 0;
    int64_t max_answer_bytes = 0;                        // 0: what a message may have
    absl::Duration deadline = absl::InfiniteDuration();  // on the backend's clock
    std::shared_ptr<const std::atomic<bool>> cancelled;
    Caller caller;
    // Grows with the answer; stays valid as long as the response.
    MemoryLease* memory = nullptr;
    // Called exactly once, from any thread, with the status of the whole request; must not block.
    absl::AnyInvocable<void(absl::Status) &&> done;
  };

  // Never blocks. Requests of token ids alone are scheduled on this thread, others on the tokenizer
  // pool's.
  static void Start(const Backend& backend, Job job);

  EncodeCall(const Backend& backend, Job job) : backend_(backend), job_(std::move(job)) {}

 private:
  using Inputs = std::vector<absl::StatusOr<PlannedInput>>;

  void Prepare();
  // Plans, tokenizes and schedules, or finishes when there is nothing to compute. An error: nothing
  // was scheduled.
  absl::Status Schedule();
  absl::StatusOr<Inputs> PlanInputs();
  // Makes the results and the tasks of the good inputs, whose slots point into the results.
  std::vector<Task> BuildTasks(Inputs inputs);
  Task BuildTask(PlannedInput input, v1::Result& result);
  void OnTaskDone(absl::Status status, const TaskReport& report, v1::Result& result);
  void FinishTasks();
  void RecordItems(absl::StatusCode request_code) const;
  void Complete(absl::Status status);

  int num_inputs() const;

  const Backend backend_;
  Job job_;
  RequestPlan plan_;
  std::atomic<int> remaining_{0};  // tasks not done yet

  absl::Mutex mutex_;
  absl::Status request_status_
      ABSL_GUARDED_BY(mutex_);  // a fault of all tasks, such as the deadline
  UsageTally tally_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contexture
