#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "contexture/v1/tasks.pb.h"
#include "server/services/backend.h"
#include "server/services/caller.h"
#include "server/services/request_plan.h"
#include "server/services/status_mapping.h"
#include "server/services/usage_tally.h"

namespace contexture {

// A request of TaskService as EncoderService's StartCall hands it over.
template <typename Request, typename Response>
struct HeadJob {
  const Request* request = nullptr;  // both must stay valid until `done` is called
  Response* response = nullptr;
  absl::Duration deadline = absl::InfiniteDuration();  // on the backend's clock
  std::shared_ptr<const std::atomic<bool>> cancelled = nullptr;
  Caller caller = {};
  MemoryLease* memory = nullptr;  // as long as the response
  // Called exactly once, from any thread, with the status of the whole request; must not block.
  absl::AnyInvocable<void(absl::Status) &&> done;
};

// What a call of any request needs of its job.
struct CallTerms {
  absl::Duration deadline;
  std::shared_ptr<const std::atomic<bool>> cancelled;
  Caller caller;
  MemoryLease* memory;
  absl::AnyInvocable<void(absl::Status) &&> done;

  template <typename Job>
  static CallTerms Of(Job& job) {
    return {job.deadline, job.cancelled, job.caller, job.memory, std::move(job.done)};
  }
};

// A request whose items (inputs, documents) each become a sequence with an output of a head, on its
// way: plan, tokenize, schedule, merge. Its tasks wait and are computed among all others. Whoever
// finishes last writes the answer. Keeps itself alive until then.
class HeadCall : public std::enable_shared_from_this<HeadCall> {
 public:
  virtual ~HeadCall() = default;
  HeadCall(const HeadCall&) = delete;
  HeadCall& operator=(const HeadCall&) = delete;

  // Once; never blocks. Items of token ids alone are scheduled on this thread, others on the
  // tokenizer pool's.
  void Start();

 protected:
  // What holds for all items.
  struct HeadPlan {
    RequestPlan request = {};  // `outputs` is unused
    bool bypass_cache = false;
    int num_items = 0;
    int64_t answer_bytes_per_item = 0;  // beside what Item::answer_bytes says
    bool answers_outputs = true;        // else what is answered is much smaller than the outputs
  };
  // An item, ready to compute.
  struct Item {
    PlannedInput input;
    OutputSpec output;
    int64_t answer_bytes = 0;  // what its result takes on the wire, an upper bound
  };
  // An item that was computed or refused.
  struct Outcome {
    absl::Status status;
    std::string output;            // as the engine wrote it
    std::vector<uint32_t> scored;  // PlannedInput::scored
    uint32_t tokens = 0, original_tokens = 0;
    bool truncated = false, cached = false;
  };

  HeadCall(const Backend& backend, CallTerms terms) : backend_(backend), terms_(std::move(terms)) {}

  // Checks everything but the items; on the thread of the RPC. An error fails the call.
  virtual absl::StatusOr<HeadPlan> Plan() = 0;
  // What all items share and takes a tokenizer. An error fails the call.
  virtual absl::Status Prepare() { return absl::OkStatus(); }
  // Item INDEX; an error fails it alone.
  virtual absl::StatusOr<Item> PlanItem(int index) = 0;
  // What Merge costs, as tokens of the model; 0: too little to wait for. For a request without a
  // fault.
  virtual int64_t MergeTokens(absl::Span<const Outcome> /*outcomes*/) const { return 0; }
  // Computes what the answer takes of the outcomes together, once all are there: as work of its own
  // in the queue, so that the answers of a batch wait for no merge of a neighbour. An error fails
  // the call.
  virtual absl::Status Merge(absl::Span<const Outcome> /*outcomes*/) { return absl::OkStatus(); }
  // Writes the answer; the last step, once, and short. An error fails the call.
  virtual absl::Status Answer(absl::Span<Outcome> outcomes, const v1::Usage& usage) = 0;

  const ServedModel& model() const { return backend_.model; }
  const Backend& backend() const { return backend_; }
  const RequestPlan& request_plan() const { return plan_.request; }

  // Sets what all results have: the status, or what was computed.
  template <typename Result>
  static void Describe(const Outcome& outcome, Result& result) {
    if (!outcome.status.ok()) {
      *result.mutable_status() = ToProtoStatus(outcome.status);
      return;
    }
    result.set_token_count(outcome.tokens);
    result.set_truncated(outcome.truncated);
    result.set_original_token_count(outcome.original_tokens);
    result.set_cached(outcome.cached);
  }

  // CANCELLED, DEADLINE_EXCEEDED: nobody waits for the answer any more.
  absl::Status CheckStillWanted() const;

 private:
  void PrepareAndSchedule();
  absl::Status Schedule();
  absl::StatusOr<std::vector<Task>> PlanTasks();
  absl::Status ReserveMemory(int64_t answer_bytes, int64_t output_bytes);
  Task BuildTask(Item item, Outcome& outcome);
  void OnTaskDone(absl::Status status, const TaskReport& report, Outcome& outcome);
  void Tally(const TaskReport& report, int tokens) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnAllDone();
  absl::Status ScheduleMerge(int64_t tokens, bool any_waited);
  void Finish(absl::Status status);
  void Complete(absl::Status status);
  void RecordItems(absl::StatusCode request_code) const;

  const Backend backend_;
  CallTerms terms_;
  HeadPlan plan_;
  std::vector<Outcome> outcomes_;  // [num_items]
  absl::Duration scheduled_;       // on the backend's clock
  std::atomic<int> remaining_{0};  // tasks not done yet

  absl::Mutex mutex_;
  absl::Status request_status_ ABSL_GUARDED_BY(mutex_);  // a fault of all tasks
  UsageTally tally_ ABSL_GUARDED_BY(mutex_);
  bool any_waited_ ABSL_GUARDED_BY(mutex_) = false;  // a task: in the queue, or for an equal one
};

// FAILED_PRECONDITION: MODEL has no such head. Its index in EncoderConfig::heads.
absl::StatusOr<int> FindHead(const ServedModel& model, HeadTask task);

// INVALID_ARGUMENT: COUNT, of FIELD, is not 1 .. MAX.
absl::Status CheckCount(absl::string_view field, uint32_t count, int max);

}  // namespace contexture
