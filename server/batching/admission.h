#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/batching/task_queue.h"

namespace contexture {

// Predicts when work that arrives now would be done, and refuses what would not be in time: an
// answer that comes too late costs as much as one that does not, and makes others late. Pure.

// What the machine does now, and what the arriving work needs of it.
struct AdmissionSituation {
  // Left of the batches that run, divided by the workers; zero while one is idle.
  absl::Duration running = absl::ZeroDuration();
  int workers = 1;
  // Of the batch in which the last of the work would run, on its one worker.
  absl::Duration last_batch = absl::ZeroDuration();
  // Mean relative error of what is predicted.
  double uncertainty = 0;
  // By how much nearly all waits lately were longer than predicted, as a factor.
  double wait_ratio = 1;
};

struct Prediction {
  absl::Duration wait = absl::ZeroDuration();  // until the last of the work begins to be computed
  absl::Duration done = absl::ZeroDuration();  // until it has been computed
};
// As if all that waits had been predicted right and nothing arrived later. The cost in ARRIVING is
// the time that all workers together need for all of the work.
Prediction Predict(const TaskQueue& queue, const TaskQueue::Arriving& arriving,
                   const AdmissionSituation& situation);

// RESOURCE_EXHAUSTED with a Refusal: the work would be done, with the usual errors, after nine
// tenths of the time to its deadline, or would make work of its tenant late that was admitted and
// has a later deadline. The tenth is what remains for work that arrives later with an earlier
// deadline, and for errors of the prediction that are not usual. The message has the predicted
// wait.
absl::Status CheckDeadline(const TaskQueue& queue, const TaskQueue::Arriving& arriving,
                           const AdmissionSituation& situation);

}  // namespace contexture
