#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/batching/deadline_tree.h"
#include "server/batching/fair_share.h"
#include "server/batching/task.h"

namespace contexture {

struct QueueOptions {
  // Most that waits. Bulk work may fill half of it, so that interactive work always finds room.
  int64_t max_tokens = 1 << 18;
  // Percent of the computed tokens that interactive work gets when bulk work waits too: 1 .. 99.
  int interactive_share = 80;
  // Percent of max_tokens that the tasks of one tenant may take: 1 .. 100, which is no cap.
  int tenant_share = 100;
  // A task goes no later than one that arrived this long after it with the nearest deadline, so
  // that far deadlines do not starve behind near ones.
  absl::Duration ageing = absl::Seconds(10);
};

// What the batch policy needs to know of a task.
struct PendingTask {
  int64_t tokens = 0;
  int64_t squares = 0;  // see BatchSize
  absl::Duration deadline = absl::InfiniteDuration();
  bool cancelled = false;
  const ModelGeneration* model = nullptr;
};

// Tasks that left the queue. Kept and reused, so that it allocates only until it has been at its
// largest.
struct Departures {
  std::vector<QueuedTask> taken;
  std::vector<QueuedTask> expired;
  std::vector<QueuedTask> cancelled;

  size_t size() const { return taken.size() + expired.size() + cancelled.size(); }
};

// What waits, in this order: the classes share by tokens and weight; in a class the tenants share
// by tokens, each as much as any other; a tenant's tasks go by deadline, earliest first. See
// docs/scheduling.md. Operations take O(log tasks + log tenants) a task. Pure: it knows no clock.
// Not thread safe.
class TaskQueue {
 public:
  using Index = TaskPool::Index;
  struct Arrival {
    absl::Duration now;
    // What a task adds to the time in which the machine, all workers together, has done its work.
    absl::FunctionRef<absl::Duration(const Task&)> cost;
  };

  explicit TaskQueue(const QueueOptions& options);

  // Takes all TASKS, which are of one class and tenant, or none. RESOURCE_EXHAUSTED with a Refusal:
  // more than the options allow would wait; a class of which nothing waits takes any number.
  absl::Status CheckRoom(absl::Span<const Task> tasks) const;
  void Push(absl::Span<Task> tasks, const Arrival& arrival);

  // For the batch policy. The class whose turn it is; not of an empty queue.
  TrafficClass NextClass() const { return static_cast<TrafficClass>(shares_.next()); }
  // Nothing of the class waits but what was set aside.
  bool empty(TrafficClass traffic_class) const { return Of(traffic_class).tenants.empty(); }
  Index Next(TrafficClass traffic_class) const;  // the class is not empty
  PendingTask Peek(Index index) const;
  // Moves the task out. CHARGED: it is computed, and counts as its class's and tenant's share.
  enum class Leaving { kCharged, kFree };
  QueuedTask Remove(Index index, Leaving leaving);
  // Next does not give this task until Restore puts all such tasks back.
  void SetAside(Index index);
  void Restore();

  // Moves the tasks whose Task::cancelled is CALLER, or all tasks, to the end of DESTINATION.
  void RemoveOf(const void* caller, std::vector<QueuedTask>& destination);
  void RemoveAll(std::vector<QueuedTask>& destination);

  // When work of COST for DEADLINE would be done if it arrived now and the machine did nothing else
  // meanwhile but what this queue orders: the time from now, on all workers together.
  struct Arriving {
    TrafficClass traffic_class = TrafficClass::kInteractive;
    uint16_t tenant = 0;
    absl::Duration now = absl::ZeroDuration();
    absl::Duration deadline = absl::InfiniteDuration();
    absl::Duration cost = absl::ZeroDuration();
  };
  absl::Duration TimeUntilDone(const Arriving& arriving) const;
  // How much later those of its tenant that would go after it could start and still be in time;
  // negative when they are late already.
  absl::Duration SlackBehind(const Arriving& arriving) const;

  // Half of what may wait of this class waits, or half of all.
  bool crowded(TrafficClass traffic_class) const;
  size_t size() const { return pool_.size(); }
  int64_t tokens() const;
  int64_t tokens(TrafficClass traffic_class) const { return Of(traffic_class).tokens; }

 private:
  struct Tenant {
    DeadlineTree tree;
    int64_t tokens = 0;
    int64_t cost = 0;  // with those set aside
  };
  struct Class {
    Class();
    std::vector<Tenant> slots;
    FairShare tenants;
    int64_t tokens = 0;
    int64_t cost = 0;
  };

  Class& Of(TrafficClass traffic_class) { return classes_[static_cast<size_t>(traffic_class)]; }
  const Class& Of(TrafficClass traffic_class) const {
    return classes_[static_cast<size_t>(traffic_class)];
  }
  int64_t Order(absl::Duration now, absl::Duration deadline) const;
  void Insert(Task&& task, const Arrival& arrival);
  void LinkToCaller(Index index);
  void UnlinkFromCaller(Index index);
  // Hangs the task into its tenant's tree, or takes it out, and sets who is backlogged.
  void Hang(Index index);
  void Unhang(Index index);

  const QueueOptions options_;
  TaskPool pool_;
  std::array<Class, kNumTrafficClasses> classes_;
  FairShare shares_;  // of the classes
  std::vector<Index> aside_;
  absl::flat_hash_map<const void*, Index> callers_;  // the latest task of each
};

}  // namespace contexture
