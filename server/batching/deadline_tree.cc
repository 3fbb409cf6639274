#include "server/batching/deadline_tree.h"

#include <algorithm>

namespace contexture {
namespace {

using Index = TaskPool::Index;
using Node = TaskPool::Node;
constexpr Index kNone = TaskPool::kNone;
constexpr int64_t kAnySlack = std::numeric_limits<int64_t>::max();

bool Before(const Node& a, const Node& b) {
  return a.order != b.order ? a.order < b.order : a.arrival < b.arrival;
}

int64_t SlackOf(const TaskPool& pool, Index node) {
  return node == kNone ? kAnySlack : pool[node].slack;
}

// Of a node and its subtrees: what Node::sum and Node::slack say.
void Update(TaskPool& pool, Index index) {
  Node& node = pool[index];
  const int64_t up_to = (node.left == kNone ? 0 : pool[node.left].sum) + node.cost;
  node.sum = up_to + (node.right == kNone ? 0 : pool[node.right].sum);
  node.slack =
      std::min({SlackOf(pool, node.left), node.due - up_to, SlackOf(pool, node.right) - up_to});
}

}  // namespace

void TaskPool::Reserve(size_t count) {
  const size_t needed = size() + count;
  if (needed > nodes_.capacity()) nodes_.reserve(std::max(needed, 2 * nodes_.capacity()));
  if (nodes_.capacity() > free_.capacity()) free_.reserve(nodes_.capacity());
}

Index TaskPool::New() {
  Index index = 0;
  if (free_.empty()) {
    index = static_cast<Index>(nodes_.size());
    nodes_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Node& node = nodes_[index];
  node.arrival = arrivals_++;
  node.previous = node.next = node.left = node.right = kNone;
  // Xorshift (Marsaglia 2003): treaps need no better numbers.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  node.priority = random_;
  return index;
}

Index DeadlineTree::First(const TaskPool& pool) const {
  Index node = root_;
  while (pool[node].left != kNone) node = pool[node].left;
  return node;
}

void DeadlineTree::Split(TaskPool& pool, Index root, Index node) {
  if (root == kNone) {
    pool[node].left = pool[node].right = kNone;
    return;
  }
  if (Before(pool[root], pool[node])) {
    Split(pool, pool[root].right, node);
    pool[root].right = pool[node].left;
    pool[node].left = root;
  } else {
    Split(pool, pool[root].left, node);
    pool[root].left = pool[node].right;
    pool[node].right = root;
  }
  Update(pool, root);
}

Index DeadlineTree::Insert(TaskPool& pool, Index root, Index node) {
  if (root == kNone || pool[node].priority > pool[root].priority) {
    Split(pool, root, node);
    Update(pool, node);
    return node;
  }
  if (Before(pool[node], pool[root])) {
    pool[root].left = Insert(pool, pool[root].left, node);
  } else {
    pool[root].right = Insert(pool, pool[root].right, node);
  }
  Update(pool, root);
  return root;
}

Index DeadlineTree::Merge(TaskPool& pool, Index left, Index right) {
  if (left == kNone) return right;
  if (right == kNone) return left;
  if (pool[left].priority > pool[right].priority) {
    pool[left].right = Merge(pool, pool[left].right, right);
    Update(pool, left);
    return left;
  }
  pool[right].left = Merge(pool, left, pool[right].left);
  Update(pool, right);
  return right;
}

Index DeadlineTree::Remove(TaskPool& pool, Index root, Index node) {
  if (root == node) return Merge(pool, pool[node].left, pool[node].right);
  if (Before(pool[node], pool[root])) {
    pool[root].left = Remove(pool, pool[root].left, node);
  } else {
    pool[root].right = Remove(pool, pool[root].right, node);
  }
  Update(pool, root);
  return root;
}

int64_t DeadlineTree::CostUpTo(const TaskPool& pool, int64_t order) const {
  int64_t cost = 0;
  for (Index node = root_; node != kNone;) {
    if (pool[node].order > order) {
      node = pool[node].left;
    } else {
      cost += Sum(pool, pool[node].left) + pool[node].cost;
      node = pool[node].right;
    }
  }
  return cost;
}

int64_t DeadlineTree::SlackBehind(const TaskPool& pool, int64_t order) const {
  int64_t slack = kAnySlack, ahead = 0;
  for (Index node = root_; node != kNone;) {
    const int64_t up_to = ahead + Sum(pool, pool[node].left) + pool[node].cost;
    if (pool[node].order > order) {
      slack = std::min({slack, pool[node].due - up_to, SlackOf(pool, pool[node].right) - up_to});
      node = pool[node].left;
    } else {
      ahead = up_to;
      node = pool[node].right;
    }
  }
  return slack;
}

}  // namespace contexture
