#include "server/batching/scheduler.h"

#include <algorithm>
#include <utility>

#include "core/base/status_macros.h"
#include "server/batching/refusal.h"

namespace contexture {
namespace {

// Shorter waits say nothing about the prediction: what it left out is as long.
constexpr absl::Duration kShortestTelling = absl::Milliseconds(10);
// A shorter batch is over before a worker that slept has helped much.
constexpr absl::Duration kShortestShared = absl::Microseconds(200);
constexpr double kWaitQuantile = 0.99, kRatioStep = 0.02, kLargestRatio = 2;

BatchSize SizeOf(const Task& task) {
  const int64_t tokens = task.tokens();
  return {.tokens = tokens, .squares = task.work ? 0 : tokens * tokens};
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options)
    : intra_op_threads_(options.intra_op_threads),
      policy_(options.policy),
      queue_(options.queue),
      batch_size_({.target = options.target_p99,
                   .smallest = options.policy.min_share_tokens,
                   .largest = options.policy.max_batch_tokens}),
      workers_(options.num_workers) {
  wait_ratios_.fill(1);
}

absl::Status Scheduler::Schedule(absl::Span<Task> tasks, absl::Duration now) {
  CTX_RETURN_IF_ERROR(Admit(tasks, now));
  queue_.Push(tasks, {.now = now, .cost = [this](const Task& task) { return CostOf(task); }});
  return absl::OkStatus();
}

absl::Duration Scheduler::CostOf(const Task& task) const {
  return task.model->costs.PredictPart(SizeOf(task), batch_size_.tokens()) /
         static_cast<int64_t>(workers_.size());
}

absl::Duration Scheduler::Running(absl::Duration now) const {
  absl::Duration running;
  for (const Worker& worker : workers_) {
    if (worker.idle) return absl::ZeroDuration();
    running += std::max(absl::ZeroDuration(), worker.busy_until - now) /
               static_cast<int64_t>(workers_.size());
  }
  return running;
}

// Follows the ratio that 99 of 100 waits do not exceed: a step up for each that does weighs as much
// as 99 steps down (stochastic approximation of a quantile: Robbins, Monro 1951).
void Scheduler::LearnWait(const QueuedTask& task, absl::Duration now) {
  const absl::Duration predicted = task.task.predicted_wait;
  if (predicted < kShortestTelling) return;
  double& ratio = wait_ratios_[static_cast<size_t>(task.task.traffic_class)];
  const bool longer = now - task.enqueued > predicted * ratio;
  ratio = std::clamp(ratio + (longer ? kWaitQuantile : kWaitQuantile - 1) * kRatioStep, 1.0,
                     kLargestRatio);
}

absl::Status Scheduler::Admit(absl::Span<Task> tasks, absl::Duration now) const {
  const Task& first = tasks.front();
  if (first.deadline <= now) {
    return absl::DeadlineExceededError("the deadline passed before the request was scheduled");
  }
  TaskQueue::Arriving arriving{.traffic_class = first.traffic_class,
                               .tenant = first.tenant,
                               .now = now,
                               .deadline = first.deadline};
  int64_t tokens = 0, longest = 0, longest_sequence = 0;
  for (const Task& task : tasks) {
    arriving.cost += CostOf(task);
    tokens += task.tokens();
    longest = std::max(longest, task.tokens());
    if (!task.work) longest_sequence = std::max(longest_sequence, task.tokens());
  }
  const int64_t full =
      std::min<int64_t>(batch_size_.tokens(), tokens + queue_.tokens(first.traffic_class));
  const int64_t last = std::max(longest, full);
  const CostModel& costs = first.model->costs;
  const BatchSize last_batch = {.tokens = last, .squares = last * longest_sequence};
  const AdmissionSituation situation{
      .running = Running(now),
      .workers = static_cast<int>(workers_.size()),
      .last_batch = costs.Predict(last_batch),
      .uncertainty = costs.uncertainty(),
      .wait_ratio = wait_ratios_[static_cast<size_t>(first.traffic_class)]};
  const absl::Duration wait = Predict(queue_, arriving, situation).wait;
  for (Task& task : tasks) task.predicted_wait = wait;
  if (first.takes_place) return absl::OkStatus();
  const absl::Status room = queue_.CheckRoom(tasks);
  if (room.ok()) return CheckDeadline(queue_, arriving, situation);
  // Half of what waits now is gone by then.
  return MakeRefusal({.reason = Refusal::Reason::kQueueFull, .retry_after = wait / 2},
                     room.message());
}

void Scheduler::Take(int worker, absl::Duration now, Departures& departures) {
  const auto idle = std::count_if(workers_.begin(), workers_.end(),
                                  [](const Worker& other) { return other.idle; });
  const size_t before = departures.taken.size(), expired = departures.expired.size();
  BatchPolicyOptions policy = policy_;
  policy.max_batch_tokens = batch_size_.tokens();
  TakeBatch(queue_, {.now = now, .idle_workers = static_cast<int>(idle)}, policy, departures);
  for (size_t i = expired; i < departures.expired.size(); ++i) {
    LearnWait(departures.expired[i], now);
  }
  BatchSize size, sequences;
  Worker& taker = workers_[worker];
  for (size_t i = before; i < departures.taken.size(); ++i) {
    const auto& [task, enqueued] = departures.taken[i];
    const BatchSize part = SizeOf(task);
    LearnWait(departures.taken[i], now);
    size.tokens += part.tokens;
    size.squares += part.squares;
    if (!task.work) sequences.tokens += part.tokens;
    if (task.traffic_class == TrafficClass::kInteractive) taker.enqueued.push_back(enqueued);
  }
  if (size.tokens == 0) return;
  taker.idle = false;
  taker.model = departures.taken.back().task.model;
  taker.busy_until = now + taker.model->costs.Predict(size);
  sequences.squares = size.squares;
  taker.sequence_time =
      sequences.tokens == 0 ? absl::ZeroDuration() : taker.model->costs.Predict(sequences);
}

int Scheduler::HelpersFor(int worker) const {
  const Worker& taker = workers_[worker];
  if (taker.idle || taker.sequence_time < kShortestShared || queue_.size() > 0) return 0;
  const auto idle = std::count_if(workers_.begin(), workers_.end(),
                                  [](const Worker& other) { return other.idle; });
  return std::clamp(static_cast<int>(idle), 0, std::max(0, intra_op_threads_ - 1));
}

void Scheduler::Finish(int worker, const CostSample& sample, absl::Duration now) {
  Worker& finisher = workers_[worker];
  for (absl::Duration enqueued : finisher.enqueued) batch_size_.Observe(now - enqueued);
  finisher.enqueued.clear();
  finisher.idle = true;
  // Also lets go of it: an idle worker keeps no model alive that was replaced.
  if (const auto model = std::exchange(finisher.model, nullptr)) model->costs.Observe(sample);
}

QueueRecord Scheduler::Waiting(absl::Duration now) const {
  return {.tasks = static_cast<int64_t>(queue_.size()),
          .tokens = queue_.tokens(),
          .predicted_wait =
              Predict(queue_, {.now = now},
                      {.running = Running(now), .workers = static_cast<int>(workers_.size())})
                  .wait};
}

}  // namespace contexture
