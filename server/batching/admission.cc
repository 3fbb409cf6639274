#include "server/batching/admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/batching/refusal.h"

namespace contexture {
namespace {

constexpr double kUsableTime = 0.9;  // of the time to the deadline
constexpr absl::Duration kShortestRetry = absl::Milliseconds(1);

std::string Milliseconds(absl::Duration duration) {
  return absl::StrFormat("%.1f ms", absl::ToDoubleMilliseconds(duration));
}

// What a batch takes longer than its part of the work of all workers together.
absl::Duration AloneOnItsWorker(const AdmissionSituation& situation) {
  return situation.last_batch - situation.last_batch / situation.workers;
}

absl::Status TooLate(absl::string_view message, absl::Duration excess) {
  return MakeRefusal(
      {.reason = Refusal::Reason::kTooLate, .retry_after = std::max(excess, kShortestRetry)},
      message);
}

}  // namespace

Prediction Predict(const TaskQueue& queue, const TaskQueue::Arriving& arriving,
                   const AdmissionSituation& situation) {
  const absl::Duration all = situation.running + queue.TimeUntilDone(arriving);
  const absl::Duration wait =
      std::max(absl::ZeroDuration(), all - situation.last_batch / situation.workers);
  return {.wait = wait, .done = wait + situation.last_batch};
}

absl::Status CheckDeadline(const TaskQueue& queue, const TaskQueue::Arriving& arriving,
                           const AdmissionSituation& situation) {
  const absl::Duration left = arriving.deadline - arriving.now;
  const Prediction prediction = Predict(queue, arriving, situation);
  const absl::Duration wait = prediction.wait * situation.wait_ratio;
  const absl::Duration computation = prediction.done - prediction.wait;
  const absl::Duration done = (wait + computation) * (1 + situation.uncertainty);
  if (left < absl::InfiniteDuration() && done > left * kUsableTime) {
    return TooLate(
        absl::StrCat("it would be done too late: the predicted wait is ", Milliseconds(wait),
                     ", the computation takes ", Milliseconds(computation),
                     ", and the deadline is in ", Milliseconds(left)),
        done - left * kUsableTime);
  }
  const absl::Duration slack = queue.SlackBehind(arriving);
  const absl::Duration delay = situation.running + arriving.cost + AloneOnItsWorker(situation);
  if (arriving.cost <= absl::ZeroDuration() || slack >= delay) return absl::OkStatus();
  return TooLate(absl::StrCat("it would make admitted work late by ", Milliseconds(delay - slack),
                              ": the predicted wait is ", Milliseconds(prediction.wait)),
                 delay - slack);
}

}  // namespace contexture
