#include "server/batching/task_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using enum Verdict;

// A task of LENGTH tokens that is told from others by its first id.
Task Numbered(uint32_t number, int length = 1) {
  Task task;
  task.ids.assign(length, number);
  return task;
}

std::vector<Task> NumberedTasks(uint32_t first, uint32_t count) {
  std::vector<Task> tasks;
  for (uint32_t i = 0; i < count; ++i) tasks.push_back(Numbered(first + i));
  return tasks;
}

std::vector<uint32_t> Numbers(const std::vector<QueuedTask>& tasks) {
  std::vector<uint32_t> numbers;
  for (const QueuedTask& queued : tasks) numbers.push_back(queued.task.ids.at(0));
  return numbers;
}

TEST(TaskQueueTest, RefusesAllTasksOfARequestThatDoesNotFit) {
  TaskQueue queue(10);
  std::vector<Task> first = NumberedTasks(0, 6), second = NumberedTasks(10, 5);
  ASSERT_THAT(queue.Push(absl::MakeSpan(first), absl::ZeroDuration()), IsOk());
  EXPECT_THAT(queue.Push(absl::MakeSpan(second), absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("6 tokens are waiting"), HasSubstr("request has 5"),
                             HasSubstr("limit is 10"))));
  EXPECT_EQ(queue.tokens(), 6);
  EXPECT_EQ(queue.size(), 6u);
  for (const Task& task : second) EXPECT_EQ(task.ids.size(), 1u) << "moved from";
}

TEST(TaskQueueTest, FillsUpToItsBound) {
  TaskQueue queue(10);
  std::vector<Task> first = NumberedTasks(0, 6), second = NumberedTasks(10, 4);
  ASSERT_THAT(queue.Push(absl::MakeSpan(first), absl::ZeroDuration()), IsOk());
  EXPECT_THAT(queue.Push(absl::MakeSpan(second), absl::ZeroDuration()), IsOk());
}

TEST(TaskQueueTest, EmptyQueueTakesARequestOfAnySize) {
  TaskQueue queue(10);
  std::vector<Task> tasks = NumberedTasks(0, 100);
  EXPECT_THAT(queue.Push(absl::MakeSpan(tasks), absl::ZeroDuration()), IsOk());
  EXPECT_EQ(queue.tokens(), 100);
}

TEST(TaskQueueTest, VerdictsSendTasksToTheirPlacesInOrder) {
  TaskQueue queue(100);
  std::vector<Task> tasks = NumberedTasks(0, 8);
  ASSERT_THAT(queue.Push(absl::MakeSpan(tasks), absl::Seconds(3)), IsOk());
  Departures departures;
  queue.Remove({kTake, kKeep, kDropExpired, kKeep, kTake, kDropCancelled}, departures);
  EXPECT_THAT(Numbers(departures.taken), ElementsAre(0, 4));
  EXPECT_THAT(Numbers(departures.expired), ElementsAre(2));
  EXPECT_THAT(Numbers(departures.cancelled), ElementsAre(5));
  EXPECT_EQ(departures.taken[0].enqueued, absl::Seconds(3));
  EXPECT_EQ(queue.tokens(), 4);

  Departures rest;
  queue.Remove(std::vector<Verdict>(queue.size(), kTake), rest);
  EXPECT_THAT(Numbers(rest.taken), ElementsAre(1, 3, 6, 7));
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_EQ(queue.tokens(), 0);
}

TEST(TaskQueueTest, WorkOfItsOwnCountsAsItsTokens) {
  TaskQueue queue(10);
  std::vector<Task> tasks(2);
  for (Task& task : tasks) {
    task.work = [](const Engine&, Workspace&) { return absl::OkStatus(); };
    task.work_tokens = 5;
  }
  std::vector<Task> more = NumberedTasks(0, 1);
  ASSERT_THAT(queue.Push(absl::MakeSpan(tasks), absl::ZeroDuration()), IsOk());
  EXPECT_EQ(queue.Peek(0).tokens, 5);
  EXPECT_THAT(queue.Push(absl::MakeSpan(more), absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("10 tokens are waiting")));
  Departures departures;
  queue.Remove({kTake, kTake}, departures);
  EXPECT_EQ(queue.tokens(), 0);
}

TEST(TaskQueueTest, PeekShowsWhatThePolicyNeeds) {
  TaskQueue queue(100);
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  std::vector<Task> tasks;
  tasks.push_back(Numbered(1, 7));
  tasks[0].deadline = absl::Seconds(9);
  tasks[0].cancelled = cancelled;
  ASSERT_THAT(queue.Push(absl::MakeSpan(tasks), absl::ZeroDuration()), IsOk());
  EXPECT_EQ(queue.Peek(0).tokens, 7);
  EXPECT_EQ(queue.Peek(0).deadline, absl::Seconds(9));
  EXPECT_FALSE(queue.Peek(0).cancelled);
  *cancelled = true;
  EXPECT_TRUE(queue.Peek(0).cancelled);
}

// Against a deque, over many sizes, so that the ring wraps and grows in every position.
TEST(TaskQueueTest, KeepsOrderWhileItWrapsAndGrows) {
  std::mt19937 random(5);
  TaskQueue queue(1 << 20);
  std::deque<uint32_t> expected;
  uint32_t next = 1;
  for (int round = 0; round < 3000; ++round) {
    const uint32_t count = random() % (round < 1500 ? 8 : 5);
    std::vector<Task> tasks = NumberedTasks(next, count);
    ASSERT_THAT(queue.Push(absl::MakeSpan(tasks), absl::ZeroDuration()), IsOk());
    for (uint32_t i = 0; i < count; ++i) expected.push_back(next++);

    std::vector<Verdict> verdicts(std::min<size_t>(expected.size(), random() % 9));
    std::vector<uint32_t> taken;
    for (size_t i = 0, position = 0; i < verdicts.size(); ++i) {
      verdicts[i] = random() % 3 == 0 ? kKeep : kTake;
      if (verdicts[i] == kKeep) ++position;
      if (verdicts[i] == kKeep) continue;
      taken.push_back(expected[position]);
      expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(position));
    }
    Departures departures;
    queue.Remove(verdicts, departures);
    ASSERT_EQ(Numbers(departures.taken), taken);
    ASSERT_EQ(queue.size(), expected.size());
  }
  Departures rest;
  queue.Remove(std::vector<Verdict>(queue.size(), kTake), rest);
  EXPECT_EQ(Numbers(rest.taken), std::vector<uint32_t>(expected.begin(), expected.end()));
  EXPECT_THAT(rest.expired, IsEmpty());
}

}  // namespace
}  // namespace contexture
