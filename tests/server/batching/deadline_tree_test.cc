#include "server/batching/deadline_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace contexture {
namespace {

constexpr int64_t kAny = std::numeric_limits<int64_t>::max();

// The same as DeadlineTree, in plain loops.
class PlainTree {
 public:
  struct Entry {
    int64_t order, due, cost;
    TaskPool::Index index;
  };
  void Insert(const Entry& entry) {
    const auto later = [&](const Entry& other) { return other.order > entry.order; };
    entries_.insert(std::find_if(entries_.begin(), entries_.end(), later), entry);
  }
  void Remove(size_t position) { entries_.erase(entries_.begin() + position); }
  const std::vector<Entry>& entries() const { return entries_; }
  int64_t CostUpTo(int64_t order) const {
    int64_t cost = 0;
    for (const Entry& entry : entries_) cost += entry.order <= order ? entry.cost : 0;
    return cost;
  }
  int64_t SlackBehind(int64_t order) const {
    int64_t slack = kAny, ahead = 0;
    for (const Entry& entry : entries_) {
      ahead += entry.cost;
      if (entry.order > order) slack = std::min(slack, entry.due - ahead);
    }
    return slack;
  }

 private:
  std::vector<Entry> entries_;  // in order, equal ones by arrival
};

TEST(DeadlineTreeTest, AgreesWithPlainLoopsWhateverComesAndGoes) {
  std::mt19937 random(3);
  TaskPool pool;
  DeadlineTree tree;
  PlainTree plain;
  for (int round = 0; round < 4000; ++round) {
    const auto& entries = plain.entries();
    if (entries.empty() || random() % 100 < 52) {
      const TaskPool::Index index = pool.New();
      const PlainTree::Entry entry = {.order = static_cast<int64_t>(random() % 200),
                                      .due = static_cast<int64_t>(random() % 2000),
                                      .cost = static_cast<int64_t>(random() % 30),
                                      .index = index};
      pool[index].order = entry.order;
      pool[index].due = entry.due;
      pool[index].cost = entry.cost;
      tree.Insert(pool, index);
      plain.Insert(entry);
    } else {
      const size_t position = random() % 3 == 0 ? 0 : random() % entries.size();
      tree.Remove(pool, entries[position].index);
      pool.Free(entries[position].index);
      plain.Remove(position);
    }
    ASSERT_EQ(tree.empty(), entries.empty());
    if (!entries.empty()) {
      ASSERT_EQ(tree.First(pool), entries.front().index) << round;
    }
    const auto order = static_cast<int64_t>(random() % 220) - 10;
    ASSERT_EQ(tree.CostUpTo(pool, order), plain.CostUpTo(order)) << round;
    // Nothing behind leaves any slack, whatever was subtracted from it on the way.
    const int64_t slack = plain.SlackBehind(order);
    if (slack < kAny) {
      ASSERT_EQ(tree.SlackBehind(pool, order), slack) << round;
    } else {
      ASSERT_GT(tree.SlackBehind(pool, order), kAny / 2) << round;
    }
    ASSERT_EQ(pool.size(), entries.size());
  }
}

TEST(DeadlineTreeTest, EqualOrdersGoByArrival) {
  TaskPool pool;
  DeadlineTree tree;
  std::vector<TaskPool::Index> indices;
  for (int i = 0; i < 50; ++i) {
    indices.push_back(pool.New());
    tree.Insert(pool, indices.back());
  }
  for (TaskPool::Index index : indices) {
    EXPECT_EQ(tree.First(pool), index);
    tree.Remove(pool, index);
  }
  EXPECT_TRUE(tree.empty());
}

TEST(TaskPoolTest, NodesAreUsedAgain) {
  TaskPool pool;
  pool.Reserve(3);
  const TaskPool::Index first = pool.New();
  pool.Free(first);
  EXPECT_EQ(pool.New(), first);
  EXPECT_EQ(pool.size(), 1u);
}

}  // namespace
}  // namespace contexture
