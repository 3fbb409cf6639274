#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/time/time.h"
#include "server/batching/task.h"

namespace contexture {

struct QueuedTask {
  Task task;
  absl::Duration enqueued = absl::ZeroDuration();  // when it was scheduled
};

// The memory of all tasks that wait, and the links that hold them in order. A DeadlineTree orders a
// part of them by when they should be done: a treap (Seidel, Aragon 1996) in which each node knows
// the sum of the costs below it, so that what lies ahead of a deadline, and whether those behind it
// can afford to wait longer, is known in O(log tasks). Nodes are reused; memory is allocated only
// while more tasks wait than ever before. Not thread safe.
class TaskPool {
 public:
  using Index = uint32_t;
  static constexpr Index kNone = std::numeric_limits<Index>::max();

  struct Node {
    QueuedTask queued;
    int64_t order = 0;                     // nanoseconds on the clock; the least goes first
    uint64_t arrival = 0;                  // orders tasks of equal `order`
    int64_t due = 0;                       // nanoseconds on the clock: its deadline
    int64_t cost = 0;                      // nanoseconds of all workers together
    Index previous = kNone, next = kNone;  // of the same caller

    uint32_t priority = 0;  // of the treap
    Index left = kNone, right = kNone;
    int64_t sum = 0;  // of the costs in this subtree
    // The least, over this subtree, of due minus the costs up to and including it.
    int64_t slack = 0;
  };

  // Room for COUNT more tasks. Throws std::bad_alloc; what follows then does not.
  void Reserve(size_t count);
  // A node that is in no tree.
  Index New();
  void Free(Index index) { free_.push_back(index); }
  Node& operator[](Index index) { return nodes_[index]; }
  const Node& operator[](Index index) const { return nodes_[index]; }
  size_t size() const { return nodes_.size() - free_.size(); }

 private:
  std::vector<Node> nodes_;
  std::vector<Index> free_;
  uint64_t arrivals_ = 0;
  uint32_t random_ = 0x9e3779b9;
};

// See TaskPool.
class DeadlineTree {
 public:
  using Index = TaskPool::Index;

  bool empty() const { return root_ == TaskPool::kNone; }
  // The task to compute first; not of an empty tree.
  Index First(const TaskPool& pool) const;
  void Insert(TaskPool& pool, Index node) { root_ = Insert(pool, root_, node); }
  void Remove(TaskPool& pool, Index node) { root_ = Remove(pool, root_, node); }

  int64_t Cost(const TaskPool& pool) const { return Sum(pool, root_); }
  // Costs of the tasks that go no later than ORDER.
  int64_t CostUpTo(const TaskPool& pool, int64_t order) const;
  // The least, over the tasks that go later than ORDER, of due minus all costs up to and including
  // it: how much later than at time 0 the tree can begin without one of them being late.
  int64_t SlackBehind(const TaskPool& pool, int64_t order) const;

 private:
  static int64_t Sum(const TaskPool& pool, Index node) {
    return node == TaskPool::kNone ? 0 : pool[node].sum;
  }
  static Index Insert(TaskPool& pool, Index root, Index node);
  static Index Remove(TaskPool& pool, Index root, Index node);
  static Index Merge(TaskPool& pool, Index left, Index right);
  // Parts ROOT at the place of NODE and makes the parts its subtrees.
  static void Split(TaskPool& pool, Index root, Index node);

  Index root_ = TaskPool::kNone;
};

}  // namespace contexture
