#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/batching/batch_policy.h"
#include "server/batching/task.h"

namespace contexture {

struct QueuedTask {
  Task task;
  absl::Duration enqueued = absl::ZeroDuration();  // when it was scheduled
};

// Tasks that left the queue, each in order of arrival. Kept and reused, so that it allocates only
// until it has been at its largest.
struct Departures {
  std::vector<QueuedTask> taken;
  std::vector<QueuedTask> expired;
  std::vector<QueuedTask> cancelled;

  size_t size() const { return taken.size() + expired.size() + cancelled.size(); }
};

// Tasks in order of arrival, bounded in tokens: a ring that grows to the most tasks that ever
// waited. Not thread safe.
class TaskQueue {
 public:
  explicit TaskQueue(int64_t max_tokens) : max_tokens_(max_tokens) {}

  // Moves all TASKS to the end, or none. An empty queue takes any. RESOURCE_EXHAUSTED: more than
  // max_tokens would wait.
  absl::Status Push(absl::Span<Task> tasks, absl::Duration now);
  // Moves the oldest verdicts.size() tasks to where their verdicts say.
  void Remove(absl::Span<const Verdict> verdicts, Departures& departures);

  // For DecideBatch; valid until the queue changes. INDEX is below size().
  PendingTask Peek(size_t index) const;

  size_t size() const { return size_; }
  int64_t tokens() const { return tokens_; }

 private:
  QueuedTask& At(size_t index) { return ring_[(first_ + index) & (ring_.size() - 1)]; }
  const QueuedTask& At(size_t index) const { return ring_[(first_ + index) & (ring_.size() - 1)]; }
  void Reserve(size_t size);

  const int64_t max_tokens_;
  std::vector<QueuedTask> ring_;  // its size is 0 or a power of two
  size_t first_ = 0;              // where the oldest task is
  size_t size_ = 0;
  int64_t tokens_ = 0;
};

}  // namespace contexture
