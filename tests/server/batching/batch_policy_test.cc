#include "server/batching/batch_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/server/batching/queue_util.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::Numbers;
using test_support::Push;
using test_support::TaskSpec;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using enum TrafficClass;

constexpr absl::Duration kNow = absl::Seconds(100);

class BatchPolicyTest : public testing::Test {
 protected:
  // Tasks without deadline, numbered from 0 in order of arrival.
  void Tasks(const std::vector<int>& tokens) {
    for (int count : tokens) Add({.tokens = count});
  }
  void Add(TaskSpec spec) {
    spec.number = next_++;
    ASSERT_THAT(Push(queue_, {spec}, kNow - absl::Seconds(1)), test_support::IsOk());
  }
  void AddExpired(int tokens) { Add({.tokens = tokens, .deadline = kNow}); }
  void AddCancelled(int tokens) { Add({.tokens = tokens, .cancelled = true}); }
  // The numbers of the tasks in the next batch.
  std::vector<uint32_t> Take(const BatchPolicyOptions& options = {}, int idle_workers = 1) {
    departures_ = {};
    TakeBatch(queue_, {.now = kNow, .idle_workers = idle_workers}, options, departures_);
    return Numbers(departures_.taken);
  }

  TaskQueue queue_{{}};
  Departures departures_;
  uint32_t next_ = 0;
};

TEST_F(BatchPolicyTest, EmptyQueueGivesNothing) {
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(departures_.size(), 0u);
}

TEST_F(BatchPolicyTest, FillsUpInOrder) {
  Tasks({40, 30, 30, 1});
  EXPECT_THAT(Take({.max_batch_tokens = 100}), ElementsAre(0, 1, 2));
  EXPECT_EQ(queue_.tokens(), 1);
}

TEST_F(BatchPolicyTest, EarlierDeadlinesFillUpFirst) {
  Add({.tokens = 60});
  Add({.tokens = 60, .deadline = kNow + absl::Seconds(2)});
  Add({.tokens = 40, .deadline = kNow + absl::Seconds(1)});
  EXPECT_THAT(Take({.max_batch_tokens = 100}), ElementsAre(2, 1));
}

TEST_F(BatchPolicyTest, TaskThatDoesNotFitIsPassedOver) {
  Tasks({60, 50, 30, 20, 10});
  EXPECT_THAT(Take({.max_batch_tokens = 100}), ElementsAre(0, 2, 4));
  EXPECT_THAT(Take({.max_batch_tokens = 100}), ElementsAre(1, 3));
}

TEST_F(BatchPolicyTest, OversizedTaskAtTheHeadRunsAlone) {
  Tasks({1000, 1});
  EXPECT_THAT(Take({.max_batch_tokens = 100}), ElementsAre(0));
}

TEST_F(BatchPolicyTest, OversizedTaskWaitsUntilItIsTheFirst) {
  Tasks({1, 1000, 2});
  EXPECT_THAT(Take({.max_batch_tokens = 100}), ElementsAre(0, 2));
}

TEST_F(BatchPolicyTest, DeadTasksAreDroppedBeforeTheBatchFills) {
  AddExpired(60);
  AddCancelled(100);
  Tasks({60});
  AddExpired(60);
  Tasks({40});
  EXPECT_THAT(Take({.max_batch_tokens = 100}), ElementsAre(2, 4));
  EXPECT_THAT(Numbers(departures_.expired), ElementsAre(0, 3));
  EXPECT_THAT(Numbers(departures_.cancelled), ElementsAre(1));
}

TEST_F(BatchPolicyTest, DeadlineLaterThanNowIsNotExpired) {
  Add({.deadline = kNow + absl::Nanoseconds(1)});
  EXPECT_THAT(Take(), ElementsAre(0));
}

TEST_F(BatchPolicyTest, NothingIsTakenWhenAllAreDead) {
  AddExpired(1);
  AddCancelled(1);
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(departures_.size(), 2u);
}

TEST_F(BatchPolicyTest, LooksNoFurtherThanTheTasksItMayPassOver) {
  Tasks({60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 40});
  EXPECT_THAT(Take({.max_batch_tokens = 100, .max_passed_over = 8}), ElementsAre(0));
  EXPECT_THAT(Take({.max_batch_tokens = 100, .max_passed_over = 8}), ElementsAre(1, 10));
}

TEST_F(BatchPolicyTest, DropsABoundedNumberAtOnce) {
  for (int i = 0; i < 10; ++i) AddExpired(1);
  EXPECT_THAT(Take({.max_dropped = 4}), IsEmpty());
  EXPECT_THAT(departures_.expired, SizeIs(4));
}

TEST_F(BatchPolicyTest, IdleWorkersShareWhatWaits) {
  const BatchPolicyOptions options = {.max_batch_tokens = 512, .min_share_tokens = 32};
  Tasks({50, 50, 50, 50});
  EXPECT_THAT(Take(options, 4), ElementsAre(0));
  Tasks({50});
  EXPECT_THAT(Take(options, 2), ElementsAre(1, 2));
  EXPECT_THAT(Take(options, 1), ElementsAre(3, 4));
}

TEST_F(BatchPolicyTest, ShareIsNotTooSmallToPay) {
  Tasks({8, 8, 8, 8});
  EXPECT_THAT(Take({.min_share_tokens = 32}, 4), SizeIs(4));
}

TEST_F(BatchPolicyTest, ShareIsNeverMoreThanABatch) {
  Tasks(std::vector<int>(100, 50));
  EXPECT_THAT(Take({.max_batch_tokens = 100}, 2), SizeIs(2));
}

TEST_F(BatchPolicyTest, SmallInteractiveBatchIsNotFilledUpWithBulkWork) {
  for (int i = 0; i < 4; ++i) Add({.tokens = 100, .traffic_class = kBulk});
  Add({.tokens = 16});
  EXPECT_THAT(Take({.max_batch_tokens = 200}), ElementsAre(4));
  EXPECT_THAT(Take({.max_batch_tokens = 200}), ElementsAre(0, 1));
}

TEST_F(BatchPolicyTest, BatchTooSmallToPayIsToppedUpFromTheOtherClass) {
  for (int i = 0; i < 4; ++i) Add({.tokens = 10, .traffic_class = kBulk});
  Add({.tokens = 12});
  EXPECT_THAT(Take({.min_share_tokens = 32}), ElementsAre(4, 0, 1));
}

TEST_F(BatchPolicyTest, OtherClassIsServedWhenTheFirstIsDead) {
  AddExpired(5);
  Add({.tokens = 100, .traffic_class = kBulk});
  EXPECT_THAT(Take(), ElementsAre(1));
  EXPECT_THAT(Numbers(departures_.expired), ElementsAre(0));
}

TEST_F(BatchPolicyTest, BulkWorkGetsItsShareBesideSaturatingInteractiveWork) {
  int64_t tokens[2] = {};
  for (int round = 0; round < 2000; ++round) {
    while (queue_.tokens(kInteractive) < 4000) Add({.tokens = 20});
    while (queue_.tokens(kBulk) < 4000) Add({.tokens = 110, .traffic_class = kBulk});
    Take();
    for (const QueuedTask& queued : departures_.taken) {
      tokens[static_cast<size_t>(queued.task.traffic_class)] += queued.task.tokens();
    }
  }
  EXPECT_NEAR(static_cast<double>(tokens[1]) / static_cast<double>(tokens[0] + tokens[1]), 0.2,
              0.01);
}

// The batch in which each task runs, when the queue is worked off batch by batch.
std::map<int, int> RunToTheEnd(const std::vector<TaskSpec>& tasks,
                               const BatchPolicyOptions& options) {
  TaskQueue queue({});
  EXPECT_THAT(Push(queue, tasks), test_support::IsOk());
  std::map<int, int> batch_of_task;
  for (int batch = 0; queue.size() > 0; ++batch) {
    Departures departures;
    TakeBatch(queue, {}, options, departures);
    EXPECT_FALSE(departures.taken.empty()) << "a batch took nothing";
    if (departures.taken.empty()) break;
    for (uint32_t number : Numbers(departures.taken)) {
      batch_of_task[static_cast<int>(number)] = batch;
    }
  }
  return batch_of_task;
}

TEST_F(BatchPolicyTest, NoTaskOfATenantStartsLaterThanInStrictOrder) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<TaskSpec> tasks(1 + random() % 80);
    for (uint32_t i = 0; i < tasks.size(); ++i) {
      tasks[i] = {.number = i,
                  .tokens = static_cast<int>(1 + random() % (random() % 4 == 0 ? 120 : 30)),
                  .deadline = absl::Seconds(1 + random() % 20)};
    }
    const BatchPolicyOptions strict = {.max_batch_tokens = 100, .max_passed_over = 0};
    const BatchPolicyOptions first_fit = {.max_batch_tokens = 100,
                                          .max_passed_over = static_cast<int>(random() % 12)};
    const auto expected = RunToTheEnd(tasks, strict);
    for (const auto& [task, batch] : RunToTheEnd(tasks, first_fit)) {
      ASSERT_LE(batch, expected.at(task)) << "task " << task << " of round " << round;
    }
  }
}

std::shared_ptr<ModelGeneration> AModel() { return std::make_shared<ModelGeneration>(nullptr, 1); }

TEST_F(BatchPolicyTest, BatchIsOfOneModelAndTheOthersKeepTheirOrder) {
  const auto one = AModel(), other = AModel();
  for (const auto& model : {one, other, one, other, other}) Add({.tokens = 10, .model = model});
  EXPECT_THAT(Take(), ElementsAre(0, 2));
  EXPECT_THAT(Take(), ElementsAre(1, 3, 4));
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(BatchPolicyTest, SmallBatchIsToppedUpWithItsOwnModelOnly) {
  const auto one = AModel(), other = AModel();
  Add({.tokens = 5, .model = one});
  Add({.tokens = 5, .traffic_class = kBulk, .model = other});
  Add({.tokens = 5, .traffic_class = kBulk, .model = one});
  EXPECT_THAT(Take(), ElementsAre(0, 2));
  EXPECT_THAT(Take(), ElementsAre(1));
}

// Whose batches take a millisecond a token.
std::shared_ptr<ModelGeneration> ModelOfKnownCost() {
  std::vector<CostSample> samples;
  for (int64_t tokens : {16, 64, 256, 512}) {
    samples.push_back({.size = {.tokens = tokens}, .time = absl::Milliseconds(tokens)});
  }
  return std::make_shared<ModelGeneration>(nullptr, 1, CostModel(samples));
}

TEST_F(BatchPolicyTest, TaskThatCannotBeInTimeIsDroppedBeforeItIsComputed) {
  const auto model = ModelOfKnownCost();
  Add({.tokens = 50, .deadline = kNow + absl::Milliseconds(45), .model = model});
  Add({.tokens = 50, .deadline = kNow + absl::Milliseconds(60), .model = model});
  EXPECT_THAT(Take(), ElementsAre(1));
  EXPECT_THAT(Numbers(departures_.expired), ElementsAre(0));
}

TEST_F(BatchPolicyTest, BatchEndsBeforeItIsTooLongForOneOfItsDeadlines) {
  const auto model = ModelOfKnownCost();
  for (int i = 0; i < 4; ++i) {
    Add({.tokens = 50, .deadline = kNow + absl::Milliseconds(120 + i), .model = model});
  }
  Add({.tokens = 50, .model = model});
  EXPECT_THAT(Take(), ElementsAre(0, 1));
  EXPECT_THAT(departures_.expired, IsEmpty());
}

TEST_F(BatchPolicyTest, TasksWithoutDeadlineMakeNoneLate) {
  const auto model = ModelOfKnownCost();
  Add({.tokens = 50, .deadline = kNow + absl::Milliseconds(80), .model = model});
  for (int i = 0; i < 4; ++i) Add({.tokens = 50, .model = model});
  EXPECT_THAT(Take(), ElementsAre(0));
  EXPECT_THAT(Take(), ElementsAre(1, 2, 3, 4));
}

TEST_F(BatchPolicyTest, SearchPastOtherModelsIsBounded) {
  const auto one = AModel(), other = AModel();
  Add({.tokens = 1, .model = one});
  for (int i = 0; i < 4; ++i) Add({.tokens = 1, .model = other});
  Add({.tokens = 1, .model = one});
  EXPECT_THAT(Take({.max_of_other_models = 3}), ElementsAre(0));
  EXPECT_THAT(Take({.max_of_other_models = 3}), ElementsAre(1, 2, 3, 4));
}

}  // namespace
}  // namespace contexture
