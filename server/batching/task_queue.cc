#include "server/batching/task_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/batching/refusal.h"

namespace contexture {
namespace {

constexpr int kBulkPart = 2;  // bulk work may fill one part in this many of the queue

absl::Status Full(absl::string_view what, int64_t waiting, int64_t arriving, int64_t limit) {
  return MakeRefusal(
      {.reason = Refusal::Reason::kQueueFull},
      absl::StrCat(what, " is full: ", waiting, " tokens are waiting, the request has ", arriving,
                   " and the limit is ", limit));
}

std::vector<int> ClassWeights(const QueueOptions& options) {
  const int interactive = std::clamp(options.interactive_share, 1, 99);
  return {interactive, 100 - interactive};
}

}  // namespace

TaskQueue::Class::Class() : slots(kTenantSlots), tenants(std::vector<int>(kTenantSlots, 1)) {}

TaskQueue::TaskQueue(const QueueOptions& options)
    : options_(options), shares_(ClassWeights(options)) {}

int64_t TaskQueue::tokens() const {
  int64_t tokens = 0;
  for (const Class& traffic_class : classes_) tokens += traffic_class.tokens;
  return tokens;
}

bool TaskQueue::crowded(TrafficClass traffic_class) const {
  const bool bulk = traffic_class == TrafficClass::kBulk;
  return bulk ? tokens(traffic_class) > options_.max_tokens / (2 * kBulkPart)
              : tokens() > options_.max_tokens / 2 && tokens(traffic_class) > 0;
}

absl::Status TaskQueue::CheckRoom(absl::Span<const Task> tasks) const {
  int64_t arriving = 0;
  for (const Task& task : tasks) arriving += task.tokens();
  const TrafficClass traffic_class = tasks.front().traffic_class;
  const int64_t of_class = tokens(traffic_class), limit = options_.max_tokens;
  if (of_class > 0 && traffic_class == TrafficClass::kBulk &&
      of_class + arriving > limit / kBulkPart) {
    return Full("the queue's part for bulk work", of_class, arriving, limit / kBulkPart);
  }
  if (of_class > 0 && tokens() + arriving > limit) {
    return Full("the queue", tokens(), arriving, limit);
  }
  const int64_t of_tenant = Of(traffic_class).slots[tasks.front().tenant].tokens;
  const int64_t cap = limit * options_.tenant_share / 100;
  if (of_tenant > 0 && of_tenant + arriving > cap) {
    return Full("the tenant's part of the queue", of_tenant, arriving, cap);
  }
  return absl::OkStatus();
}

void TaskQueue::Push(absl::Span<Task> tasks, const Arrival& arrival) {
  // What may throw comes first: later there is no half of a request.
  pool_.Reserve(tasks.size());
  aside_.reserve(pool_.size() + tasks.size());
  callers_.reserve(callers_.size() + tasks.size());
  for (Task& task : tasks) Insert(std::move(task), arrival);
}

int64_t TaskQueue::Order(absl::Duration now, absl::Duration deadline) const {
  return absl::ToInt64Nanoseconds(std::min(deadline, now + options_.ageing));
}

void TaskQueue::Insert(Task&& task, const Arrival& arrival) {
  const Index index = pool_.New();
  TaskPool::Node& node = pool_[index];
  node.order = Order(std::min(arrival.now, task.waits_since), task.deadline);
  node.due = absl::ToInt64Nanoseconds(task.deadline);
  node.cost = absl::ToInt64Nanoseconds(arrival.cost(task));
  node.queued.task = std::move(task);
  node.queued.enqueued = arrival.now;
  const Task& moved = node.queued.task;
  Class& of_class = Of(moved.traffic_class);
  Tenant& tenant = of_class.slots[moved.tenant];
  for (int64_t* tokens : {&of_class.tokens, &tenant.tokens}) *tokens += moved.tokens();
  for (int64_t* cost : {&of_class.cost, &tenant.cost}) *cost += node.cost;
  LinkToCaller(index);
  Hang(index);
}

void TaskQueue::LinkToCaller(Index index) {
  const void* caller = pool_[index].queued.task.cancelled.get();
  if (caller == nullptr) return;
  const auto [place, first] = callers_.try_emplace(caller, index);
  if (first) return;
  pool_[index].next = place->second;
  pool_[place->second].previous = index;
  place->second = index;
}

void TaskQueue::UnlinkFromCaller(Index index) {
  const TaskPool::Node& node = pool_[index];
  const void* caller = node.queued.task.cancelled.get();
  if (caller == nullptr) return;
  if (node.next != TaskPool::kNone) pool_[node.next].previous = node.previous;
  if (node.previous != TaskPool::kNone) {
    pool_[node.previous].next = node.next;
  } else if (node.next != TaskPool::kNone) {
    callers_[caller] = node.next;
  } else {
    callers_.erase(caller);
  }
}

void TaskQueue::Hang(Index index) {
  const Task& task = pool_[index].queued.task;
  Class& of_class = Of(task.traffic_class);
  of_class.slots[task.tenant].tree.Insert(pool_, index);
  of_class.tenants.SetBacklogged(task.tenant, true);
  shares_.SetBacklogged(static_cast<int>(task.traffic_class), true);
}

void TaskQueue::Unhang(Index index) {
  const Task& task = pool_[index].queued.task;
  Class& of_class = Of(task.traffic_class);
  DeadlineTree& tree = of_class.slots[task.tenant].tree;
  tree.Remove(pool_, index);
  if (!tree.empty()) return;
  of_class.tenants.SetBacklogged(task.tenant, false);
  if (empty(task.traffic_class)) shares_.SetBacklogged(static_cast<int>(task.traffic_class), false);
}

TaskQueue::Index TaskQueue::Next(TrafficClass traffic_class) const {
  const Class& of_class = Of(traffic_class);
  return of_class.slots[of_class.tenants.next()].tree.First(pool_);
}

PendingTask TaskQueue::Peek(Index index) const {
  const Task& task = pool_[index].queued.task;
  return {.tokens = task.tokens(),
          .squares = task.work ? 0 : task.tokens() * task.tokens(),
          .deadline = task.deadline,
          .cancelled = task.cancelled != nullptr && task.cancelled->load(std::memory_order_relaxed),
          .model = task.model.get()};
}

QueuedTask TaskQueue::Remove(Index index, Leaving leaving) {
  TaskPool::Node& node = pool_[index];
  const Task& task = node.queued.task;
  Class& of_class = Of(task.traffic_class);
  Tenant& tenant = of_class.slots[task.tenant];
  if (leaving == Leaving::kCharged) {
    of_class.tenants.Charge(task.tenant, task.tokens());
    shares_.Charge(static_cast<int>(task.traffic_class), task.tokens());
  }
  Unhang(index);
  UnlinkFromCaller(index);
  for (int64_t* tokens : {&of_class.tokens, &tenant.tokens}) *tokens -= task.tokens();
  for (int64_t* cost : {&of_class.cost, &tenant.cost}) *cost -= node.cost;
  QueuedTask queued = std::move(node.queued);
  node.queued.task = Task();
  pool_.Free(index);
  return queued;
}

void TaskQueue::SetAside(Index index) {
  Unhang(index);
  aside_.push_back(index);
}

void TaskQueue::Restore() {
  for (Index index : aside_) Hang(index);
  aside_.clear();
}

void TaskQueue::RemoveOf(const void* caller, std::vector<QueuedTask>& destination) {
  for (auto place = callers_.find(caller); place != callers_.end(); place = callers_.find(caller)) {
    destination.push_back(Remove(place->second, Leaving::kFree));
  }
}

void TaskQueue::RemoveAll(std::vector<QueuedTask>& destination) {
  while (!shares_.empty()) destination.push_back(Remove(Next(NextClass()), Leaving::kFree));
}

absl::Duration TaskQueue::TimeUntilDone(const Arriving& arriving) const {
  const Class& own_class = Of(arriving.traffic_class);
  const int64_t own = own_class.slots[arriving.tenant].tree.CostUpTo(
                          pool_, Order(arriving.now, arriving.deadline)) +
                      absl::ToInt64Nanoseconds(arriving.cost);
  // While the tenant's own work is done each other tenant gets as much, as far as it has work.
  int64_t of_class = own;
  for (int tenant : own_class.tenants.backlogged()) {
    if (tenant != arriving.tenant) of_class += std::min(own_class.slots[tenant].cost, own);
  }
  // And the classes as much as their weights say.
  int64_t all = of_class;
  const int index = static_cast<int>(arriving.traffic_class);
  for (int other = 0; other < kNumTrafficClasses; ++other) {
    if (other == index) continue;
    const double ratio = static_cast<double>(shares_.weight(other)) / shares_.weight(index);
    all +=
        std::min(classes_[other].cost, static_cast<int64_t>(static_cast<double>(of_class) * ratio));
  }
  return absl::Nanoseconds(all);
}

absl::Duration TaskQueue::SlackBehind(const Arriving& arriving) const {
  const int64_t slack = Of(arriving.traffic_class)
                            .slots[arriving.tenant]
                            .tree.SlackBehind(pool_, Order(arriving.now, arriving.deadline));
  return absl::Nanoseconds(slack) - arriving.now;
}

}  // namespace contexture
