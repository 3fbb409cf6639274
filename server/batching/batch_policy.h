#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "server/batching/task_queue.h"

namespace contexture {

// Decides which waiting tasks make the next batch. Pure: no clock, no lock, no thread.

struct BatchPolicyOptions {
  // Tokens of one batch; a longer task runs alone.
  int max_batch_tokens = 512;
  // When workers are idle and little waits, each takes its share of the tokens, but not less than
  // this: below it reading the weights takes longer than computing, so two batches cost more than
  // one and save no time. For the same reason a smaller batch is topped up with other classes'
  // tasks.
  int min_share_tokens = 32;
  // Tasks that a batch may pass over because they do not fit, to fill up with later ones. Bounds
  // the search; more than the few that fill a batch gains nothing.
  int max_passed_over = 32;
  // The same for tasks of other models than the batch's. More, so that a batch fills while the
  // tasks of some models alternate.
  int max_of_other_models = 256;
  // From the end of a computation until the caller has its answer.
  absl::Duration answer_time = absl::Milliseconds(2);
  // Dead tasks that leave in one decision. Bounds the time under the caller's lock.
  int max_dropped = 256;
};

struct BatchSituation {
  absl::Duration now = absl::ZeroDuration();
  int idle_workers = 1;  // with the one that asks
};

// Moves the tasks of the next batch, and the dead ones met on the way, from QUEUE to DEPARTURES. No
// task taken at all: there is nothing to compute now; when something was dropped, ask again.
//
// Cancelled tasks, and those that could not be answered in time even if they were computed alone
// now, are dropped before they take up a place. A batch is of the class
// whose turn it is: a small interactive batch is not filled up with bulk work, which would make it
// slow. The first live task is always taken, and its model is the batch's; then the batch fills in
// the order of the queue, until one more would make those that it has late; a task of another model
// or that does not fit is passed over. That is first fit, which keeps the order: no task of a
// tenant starts in a later batch than it would if each batch ended at the first task that does not
// fit.
void TakeBatch(TaskQueue& queue, const BatchSituation& situation, const BatchPolicyOptions& options,
               Departures& departures);

}  // namespace contexture
