#include "server/batching/task_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace contexture {

absl::Status TaskQueue::Push(absl::Span<Task> tasks, absl::Duration now) {
  int64_t tokens = 0;
  for (const Task& task : tasks) tokens += task.tokens();
  if (size_ > 0 && tokens > max_tokens_ - tokens_) {
    return absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", tokens_,
                                                     " tokens are waiting, the request has ",
                                                     tokens, " and the limit is ", max_tokens_));
  }
  Reserve(size_ + tasks.size());
  for (Task& task : tasks) {
    QueuedTask& place = At(size_++);
    place.task = std::move(task);
    place.enqueued = now;
  }
  tokens_ += tokens;
  return absl::OkStatus();
}

void TaskQueue::Remove(absl::Span<const Verdict> verdicts, Departures& departures) {
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i] == Verdict::kKeep) continue;
    tokens_ -= At(i).task.tokens();
    std::vector<QueuedTask>& destination = verdicts[i] == Verdict::kTake ? departures.taken
                                           : verdicts[i] == Verdict::kDropExpired
                                               ? departures.expired
                                               : departures.cancelled;
    destination.push_back(std::move(At(i)));
  }
  // Closes the gaps by moving the tasks that stay, which are few, towards the younger ones.
  size_t end = verdicts.size();
  for (size_t i = verdicts.size(); i-- > 0;) {
    if (verdicts[i] == Verdict::kKeep && --end != i) At(end) = std::move(At(i));
  }
  first_ += end;
  size_ -= end;
}

PendingTask TaskQueue::Peek(size_t index) const {
  const Task& task = At(index).task;
  return {
      .tokens = task.tokens(),
      .deadline = task.deadline,
      .cancelled = task.cancelled != nullptr && task.cancelled->load(std::memory_order_relaxed)};
}

void TaskQueue::Reserve(size_t size) {
  if (size <= ring_.size()) return;
  constexpr size_t kSmallest = 64;
  size_t capacity = std::max(kSmallest, ring_.size());
  while (capacity < size) capacity *= 2;
  std::vector<QueuedTask> ring(capacity);
  for (size_t i = 0; i < size_; ++i) ring[i] = std::move(At(i));
  ring_ = std::move(ring);
  first_ = 0;
}

}  // namespace contexture
