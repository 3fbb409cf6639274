#include "server/batching/batch_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace contexture {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using enum Verdict;

constexpr absl::Duration kNow = absl::Seconds(100);

PendingTask Tokens(int64_t tokens) { return {.tokens = tokens}; }
PendingTask Expired(int64_t tokens) { return {.tokens = tokens, .deadline = kNow}; }
PendingTask Cancelled(int64_t tokens) { return {.tokens = tokens, .cancelled = true}; }

std::vector<Verdict> Decide(const std::vector<PendingTask>& tasks,
                            const BatchPolicyOptions& options, int idle_workers = 1) {
  int64_t tokens = 0;
  for (const PendingTask& task : tasks) tokens += task.tokens;
  const auto peek = [&tasks](size_t i) { return tasks.at(i); };
  std::vector<Verdict> verdicts = {kDropExpired};  // must be replaced
  DecideBatch({.count = tasks.size(), .tokens = tokens, .task = peek},
              {.now = kNow, .idle_workers = idle_workers}, options, verdicts);
  return verdicts;
}

TEST(BatchPolicyTest, EmptyQueueGivesNothing) { EXPECT_THAT(Decide({}, {}), IsEmpty()); }

TEST(BatchPolicyTest, FillsUpInOrderOfArrival) {
  EXPECT_THAT(Decide({Tokens(40), Tokens(30), Tokens(30), Tokens(1)}, {.max_batch_tokens = 100}),
              ElementsAre(kTake, kTake, kTake));
}

TEST(BatchPolicyTest, TaskThatDoesNotFitIsPassedOver) {
  EXPECT_THAT(Decide({Tokens(60), Tokens(50), Tokens(30), Tokens(20), Tokens(10)},
                     {.max_batch_tokens = 100}),
              ElementsAre(kTake, kKeep, kTake, kKeep, kTake));
}

TEST(BatchPolicyTest, OversizedTaskAtTheHeadRunsAlone) {
  EXPECT_THAT(Decide({Tokens(1000), Tokens(1)}, {.max_batch_tokens = 100}), ElementsAre(kTake));
}

TEST(BatchPolicyTest, OversizedTaskWaitsUntilItIsTheOldest) {
  EXPECT_THAT(Decide({Tokens(1), Tokens(1000), Tokens(2)}, {.max_batch_tokens = 100}),
              ElementsAre(kTake, kKeep, kTake));
}

TEST(BatchPolicyTest, ExpiredTaskIsDroppedBeforeBatchFills) {
  EXPECT_THAT(Decide({Expired(60), Tokens(60), Expired(60), Tokens(40)}, {.max_batch_tokens = 100}),
              ElementsAre(kDropExpired, kTake, kDropExpired, kTake));
}

TEST(BatchPolicyTest, DeadlineLaterThanNowIsNotExpired) {
  EXPECT_THAT(Decide({{.tokens = 1, .deadline = kNow + absl::Nanoseconds(1)}}, {}),
              ElementsAre(kTake));
}

TEST(BatchPolicyTest, CancelledTaskIsDroppedBeforeBatchFills) {
  EXPECT_THAT(Decide({Cancelled(100), Tokens(100)}, {.max_batch_tokens = 100}),
              ElementsAre(kDropCancelled, kTake));
}

TEST(BatchPolicyTest, NothingIsTakenWhenAllAreDead) {
  EXPECT_THAT(Decide({Expired(1), Cancelled(1)}, {}), ElementsAre(kDropExpired, kDropCancelled));
}

TEST(BatchPolicyTest, LooksNoFurtherThanTheTasksItMayPassOver) {
  std::vector<PendingTask> tasks(10, Tokens(60));
  tasks.push_back(Tokens(40));
  EXPECT_THAT(Decide(tasks, {.max_batch_tokens = 100, .max_passed_over = 8}), SizeIs(9));
  EXPECT_EQ(Decide(tasks, {.max_batch_tokens = 100, .max_passed_over = 9}).back(), kTake);
}

TEST(BatchPolicyTest, DropsABoundedNumberAtOnce) {
  const std::vector<PendingTask> tasks(10, Expired(1));
  EXPECT_THAT(Decide(tasks, {.max_dropped = 4}),
              ElementsAre(kDropExpired, kDropExpired, kDropExpired, kDropExpired));
}

TEST(BatchPolicyTest, IdleWorkersShareWhatWaits) {
  const std::vector<PendingTask> tasks(4, Tokens(50));
  const BatchPolicyOptions options = {.max_batch_tokens = 512, .min_share_tokens = 32};
  EXPECT_THAT(Decide(tasks, options, 4), ElementsAre(kTake));
  EXPECT_THAT(Decide(tasks, options, 2), ElementsAre(kTake, kTake));
  EXPECT_THAT(Decide(tasks, options, 1), ElementsAre(kTake, kTake, kTake, kTake));
}

TEST(BatchPolicyTest, ShareIsNotTooSmallToPay) {
  const std::vector<PendingTask> tasks(4, Tokens(8));
  EXPECT_THAT(Decide(tasks, {.min_share_tokens = 32}, 4), SizeIs(4));
  EXPECT_THAT(Decide(tasks, {.min_share_tokens = 32}, 4), Each(kTake));
}

TEST(BatchPolicyTest, ShareIsNeverMoreThanABatch) {
  const std::vector<PendingTask> tasks(100, Tokens(50));
  EXPECT_THAT(Decide(tasks, {.max_batch_tokens = 100}, 2), ElementsAre(kTake, kTake));
}

// The batch in which each task runs, when the queue is worked off batch by batch.
std::map<int, int> RunToTheEnd(const std::vector<PendingTask>& tasks,
                               const BatchPolicyOptions& options) {
  std::map<int, int> batch_of_task;
  std::vector<int> waiting(tasks.size());
  for (size_t i = 0; i < tasks.size(); ++i) waiting[i] = static_cast<int>(i);
  for (int batch = 0; !waiting.empty(); ++batch) {
    std::vector<PendingTask> view;
    for (int task : waiting) view.push_back(tasks[task]);
    const std::vector<Verdict> verdicts = Decide(view, options);
    std::vector<int> left;
    for (size_t i = 0; i < waiting.size(); ++i) {
      const bool taken = i < verdicts.size() && verdicts[i] == kTake;
      if (taken) batch_of_task[waiting[i]] = batch;
      if (!taken) left.push_back(waiting[i]);
    }
    EXPECT_LT(left.size(), waiting.size()) << "a batch took nothing";
    if (left.size() == waiting.size()) break;
    waiting = left;
  }
  return batch_of_task;
}

TEST(BatchPolicyTest, NoTaskStartsLaterThanInStrictOrderOfArrival) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<PendingTask> tasks(1 + random() % 80);
    for (PendingTask& task : tasks) task.tokens = 1 + random() % (random() % 4 == 0 ? 120 : 30);
    const BatchPolicyOptions strict = {.max_batch_tokens = 100, .max_passed_over = 0};
    const BatchPolicyOptions first_fit = {.max_batch_tokens = 100,
                                          .max_passed_over = static_cast<int>(random() % 12)};
    const auto expected = RunToTheEnd(tasks, strict);
    for (const auto& [task, batch] : RunToTheEnd(tasks, first_fit)) {
      ASSERT_LE(batch, expected.at(task)) << "task " << task << " of round " << round;
    }
  }
}

}  // namespace
}  // namespace contexture
