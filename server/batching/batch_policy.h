#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace contexture {

// Decides which waiting tasks make the next batch. Pure: no clock, no lock, no thread.

struct BatchPolicyOptions {
  // Tokens of one batch; a longer task runs alone.
  int max_batch_tokens = 512;
  // When workers are idle and little waits, each takes its share of the tokens, but not less than
  // this: below it reading the weights takes longer than computing, so two batches cost more than
  // one and save no time.
  int min_share_tokens = 32;
  // Tasks that a batch may pass over because they do not fit, to fill up with later ones. Bounds
  // the search; more than the few that fill a batch gains nothing.
  int max_passed_over = 32;
  // Dead tasks that leave in one decision. Bounds the time under the caller's lock.
  int max_dropped = 256;
};

// What the policy needs to know of a task.
struct PendingTask {
  int64_t tokens = 0;
  absl::Duration deadline = absl::InfiniteDuration();
  bool cancelled = false;
};

// What waits, oldest first.
struct PendingTasks {
  size_t count = 0;
  int64_t tokens = 0;                           // of all
  absl::FunctionRef<PendingTask(size_t)> task;  // the task of an index below count
};

struct BatchSituation {
  absl::Duration now = absl::ZeroDuration();
  int idle_workers = 1;  // with the one that asks
};

enum class Verdict : uint8_t {
  kKeep,  // stays in the queue
  kTake,  // is of the batch
  kDropExpired,
  kDropCancelled,
};

// Sets VERDICTS to one verdict for each of the oldest tasks that were looked at; those after them
// stay. No kTake at all: there is nothing to compute now; when something was dropped, ask again.
//
// Expired and cancelled tasks are dropped before they take up a place. The oldest live task is
// always taken. Then the batch is filled in order of arrival; a task that does not fit is passed
// over. That is first fit, which keeps first come, first served: no task of the queue starts in a
// later batch than it would if each batch ended at the first task that does not fit.
void DecideBatch(const PendingTasks& pending, const BatchSituation& situation,
                 const BatchPolicyOptions& options, std::vector<Verdict>& verdicts);

}  // namespace contexture
