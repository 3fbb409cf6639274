#include "server/batching/batch_policy.h"

#include <algorithm>
#include <utility>

namespace contexture {
namespace {

using Leaving = TaskQueue::Leaving;

// Tokens that the asking worker may take without leaving other idle workers with nothing.
int64_t TokenBudget(int64_t pending_tokens, int idle_workers, const BatchPolicyOptions& options) {
  const int64_t workers = std::max(1, idle_workers);
  const int64_t share = (pending_tokens + workers - 1) / workers;
  return std::min<int64_t>(options.max_batch_tokens,
                           std::max<int64_t>(options.min_share_tokens, share));
}

class BatchFormer {
 public:
  BatchFormer(TaskQueue& queue, absl::Duration now, const BatchPolicyOptions& options,
              Departures& departures)
      : queue_(queue), now_(now), options_(options), departures_(departures) {}

  int64_t tokens() const { return tokens_; }

  // Takes tasks of the class until the batch has BUDGET tokens, and passes over MAX_PASSED_OVER
  // of its model.
  void Fill(TrafficClass traffic_class, int64_t budget, int max_passed_over) {
    int passed_over = 0;
    while (tokens_ < budget && !queue_.empty(traffic_class)) {
      const TaskQueue::Index index = queue_.Next(traffic_class);
      const PendingTask task = queue_.Peek(index);
      const bool expired = task.deadline <= now_ || IsLate(task, {}, task.deadline);
      if (task.cancelled || expired) {
        if (dropped_++ == options_.max_dropped) break;
        auto& dropped = task.cancelled ? departures_.cancelled : departures_.expired;
        dropped.push_back(queue_.Remove(index, Leaving::kFree));
      } else if (tokens_ > 0 && task.model != model_) {
        if (of_other_models_++ == options_.max_of_other_models) break;
        queue_.SetAside(index);
      } else if (tokens_ > 0 && IsLate(task, size_, std::min(task.deadline, earliest_))) {
        break;  // the next batch is in time for it, or nothing is
      } else if (tokens_ == 0 || tokens_ + task.tokens <= budget) {
        tokens_ += task.tokens;
        size_ = {.tokens = tokens_, .squares = size_.squares + task.squares};
        earliest_ = std::min(earliest_, task.deadline);
        model_ = task.model;
        departures_.taken.push_back(queue_.Remove(index, Leaving::kCharged));
      } else {
        if (passed_over++ == max_passed_over) break;
        queue_.SetAside(index);
      }
    }
    queue_.Restore();
  }

 private:
  // Whether a batch of SIZE, computed now together with TASK, would be answered after DEADLINE.
  bool IsLate(const PendingTask& task, const BatchSize& size, absl::Duration deadline) const {
    if (task.model == nullptr || deadline == absl::InfiniteDuration()) return false;
    const absl::Duration time = task.model->costs.Predict(
        {.tokens = size.tokens + task.tokens, .squares = size.squares + task.squares});
    return now_ + time + options_.answer_time > deadline;
  }

  TaskQueue& queue_;
  const absl::Duration now_;
  const BatchPolicyOptions& options_;
  Departures& departures_;
  int64_t tokens_ = 0;
  BatchSize size_;                                      // of what was taken
  absl::Duration earliest_ = absl::InfiniteDuration();  // deadline of it
  const ModelGeneration* model_ = nullptr;              // of what was taken
  int dropped_ = 0;
  int of_other_models_ = 0;
};

}  // namespace

void TakeBatch(TaskQueue& queue, const BatchSituation& situation, const BatchPolicyOptions& options,
               Departures& departures) {
  if (queue.size() == 0) return;
  BatchFormer batch(queue, situation.now, options, departures);
  const TrafficClass first = queue.NextClass();
  const auto budget = [&](TrafficClass traffic_class) {
    return TokenBudget(queue.tokens(traffic_class), situation.idle_workers, options);
  };
  batch.Fill(first, budget(first), options.max_passed_over);
  for (int i = 0; i < kNumTrafficClasses; ++i) {
    const auto other = static_cast<TrafficClass>(i);
    if (other == first) continue;
    if (batch.tokens() == 0) {  // all of the first class was dead
      batch.Fill(other, budget(other), options.max_passed_over);
    } else {
      batch.Fill(other, options.min_share_tokens, /*max_passed_over=*/0);
    }
  }
}

}  // namespace contexture
