#pragma once

#include <vector>

#include "server/batching/batch_policy.h"
#include "server/batching/task_queue.h"

namespace contexture::test_support {

// A task to queue, told from others by its first id.
struct TaskSpec {
  uint32_t number = 0;
  int tokens = 1;
  absl::Duration deadline = absl::InfiniteDuration();
  TrafficClass traffic_class = TrafficClass::kInteractive;
  uint16_t tenant = 0;
  bool cancelled = false;
  std::shared_ptr<ModelGeneration> model = nullptr;
  absl::Duration waits_since = absl::InfiniteDuration();
};

inline Task MakeQueueTask(const TaskSpec& spec) {
  Task task;
  task.model = spec.model;
  task.ids.assign(spec.tokens, spec.number);
  task.deadline = spec.deadline;
  task.traffic_class = spec.traffic_class;
  task.tenant = spec.tenant;
  task.waits_since = spec.waits_since;
  if (spec.cancelled) task.cancelled = std::make_shared<std::atomic<bool>>(true);
  return task;
}

// Puts the tasks into the queue as one request; each token costs COST_PER_TOKEN.
inline absl::Status Push(TaskQueue& queue, const std::vector<TaskSpec>& specs,
                         absl::Duration now = absl::ZeroDuration(),
                         absl::Duration cost_per_token = absl::Milliseconds(1)) {
  std::vector<Task> tasks;
  for (const TaskSpec& spec : specs) tasks.push_back(MakeQueueTask(spec));
  if (absl::Status room = queue.CheckRoom(tasks); !room.ok()) return room;
  const auto cost = [&](const Task& task) { return task.tokens() * cost_per_token; };
  queue.Push(absl::MakeSpan(tasks), {.now = now, .cost = cost});
  return absl::OkStatus();
}

inline std::vector<uint32_t> Numbers(const std::vector<QueuedTask>& tasks) {
  std::vector<uint32_t> numbers;
  for (const QueuedTask& queued : tasks) numbers.push_back(queued.task.ids.at(0));
  return numbers;
}

// The numbers of all tasks, in the order in which they would be computed one by one.
inline std::vector<uint32_t> ServeAll(TaskQueue& queue) {
  std::vector<QueuedTask> served;
  while (queue.size() > 0) {
    served.push_back(queue.Remove(queue.Next(queue.NextClass()), TaskQueue::Leaving::kCharged));
  }
  return Numbers(served);
}

}  // namespace contexture::test_support
