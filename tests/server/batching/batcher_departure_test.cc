// Tasks that leave the queue uncomputed, and those that are not let in.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/batching/refusal.h"
#include "tests/server/batching/batcher_fixture.h"

namespace contexture {
namespace {

using test_support::Alone;
using test_support::IsOk;
using test_support::kOneSecond;
using test_support::ScriptedEngine;
using test_support::StatusIs;
using test_support::TaskProbe;
using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class BatcherDepartureTest : public test_support::BatcherFixture {};

TEST_F(BatcherDepartureTest, ExpiredTaskIsAnsweredWithoutComputation) {
  Start();
  KeepWorkersBusy();
  TaskProbe &expiring = NewProbe(), &live = NewProbe();
  Task task = expiring.MakeTask({1});
  task.deadline = clock_.Now() + absl::Milliseconds(500);
  ASSERT_THAT(Schedule(std::move(task)), IsOk());
  ASSERT_THAT(Schedule(live.MakeTask({2})), IsOk());
  clock_.Advance(absl::Milliseconds(500));
  engine_.Resume();
  EXPECT_THAT(expiring.Await().status, StatusIs(absl::StatusCode::kDeadlineExceeded, _));
  EXPECT_EQ(expiring.Await().report.queue_time, absl::Milliseconds(1500));
  EXPECT_EQ(expiring.Await().report.batch_sequences, 0);
  EXPECT_THAT(live.Await().status, IsOk());
  batcher_->Drain();
  EXPECT_THAT(engine_.batches(), ElementsAre(_, ScriptedEngine::Batch{{2}}));
  EXPECT_EQ(metrics_.totals().expired, 1);
  EXPECT_THAT(metrics_.totals().queue_times, SizeIs(2));
}

TEST_F(BatcherDepartureTest, CancelledTaskIsAnsweredWithoutComputation) {
  Start();
  KeepWorkersBusy();
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  TaskProbe &leaving = NewProbe(), &live = NewProbe();
  Task task = leaving.MakeTask({1});
  task.cancelled = cancelled;
  ASSERT_THAT(Schedule(std::move(task)), IsOk());
  ASSERT_THAT(Schedule(live.MakeTask({2})), IsOk());
  *cancelled = true;
  engine_.Resume();
  EXPECT_THAT(leaving.Await().status, StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_THAT(live.Await().status, IsOk());
  batcher_->Drain();
  EXPECT_THAT(engine_.batches(), ElementsAre(_, ScriptedEngine::Batch{{2}}));
  EXPECT_EQ(metrics_.totals().cancelled, 1);
}

TEST_F(BatcherDepartureTest, ForgottenCallerIsAnsweredAtOnceAndHisPlaceIsFree) {
  Start({.queue = {.max_tokens = 10}});
  KeepWorkersBusy();
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  TaskProbe &leaving = NewProbe(), &next = NewProbe();
  Task task = leaving.MakeTaskOfLength(10);
  task.cancelled = cancelled;
  ASSERT_THAT(Schedule(std::move(task)), IsOk());
  EXPECT_THAT(Schedule(next.MakeTaskOfLength(1)),
              StatusIs(absl::StatusCode::kResourceExhausted, _));
  *cancelled = true;
  batcher_->Forget(cancelled.get());
  EXPECT_EQ(leaving.answers(), 1) << "while the worker is still busy";
  EXPECT_THAT(leaving.Await().status, StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_EQ(batcher_->waiting().tasks, 0);
  EXPECT_EQ(metrics_.totals().cancelled, 1);
  EXPECT_THAT(Schedule(next.MakeTaskOfLength(10)), IsOk());
  engine_.Resume();
  EXPECT_THAT(next.Await().status, IsOk());
  batcher_->Drain();
  EXPECT_THAT(engine_.batches(), SizeIs(2));
}

TEST_F(BatcherDepartureTest, CallerWhoLeftBeforeIsNotTaken) {
  Start();
  Task task = NewProbe().MakeTask({1});
  task.cancelled = std::make_shared<std::atomic<bool>>(true);
  EXPECT_THAT(Schedule(std::move(task)), StatusIs(absl::StatusCode::kCancelled, _));
  Task late = NewProbe().MakeTask({1});
  late.deadline = clock_.Now();
  EXPECT_THAT(Schedule(std::move(late)), StatusIs(absl::StatusCode::kDeadlineExceeded, _));
}

TEST_F(BatcherDepartureTest, WorkForACallerWhoLeftMeanwhileIsCountedAsAbandoned) {
  Start();
  engine_.Pause();
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  Task task = NewProbe().MakeTaskOfLength(9);
  task.cancelled = cancelled;
  ASSERT_THAT(Schedule(std::move(task)), IsOk());
  engine_.AwaitPausedRuns(1);
  *cancelled = true;
  engine_.Resume();
  probes_.back().Await();
  EXPECT_EQ(metrics_.totals().abandoned_tokens, 9);
}

TEST_F(BatcherDepartureTest, RequestThatWouldBeLateIsRefusedAtOnce) {
  Start({.max_batch_tokens = 10}, {kOneSecond});
  KeepWorkersBusy();
  for (int i = 0; i < 4; ++i) ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(10)), IsOk());
  const auto schedule_within = [this](absl::Duration time) {
    Task task = NewProbe().MakeTaskOfLength(10);
    task.deadline = clock_.Now() + time;
    return Schedule(std::move(task));
  };
  const absl::Status refused = schedule_within(absl::Milliseconds(900));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("predicted wait")));
  ASSERT_TRUE(RefusalOf(refused).has_value());
  EXPECT_EQ(RefusalOf(refused)->reason, Refusal::Reason::kTooLate);
  EXPECT_GT(RefusalOf(refused)->retry_after, absl::Milliseconds(100));
  EXPECT_THAT(schedule_within(absl::Seconds(9)), IsOk());
  engine_.Resume();
  batcher_->Drain();
}

TEST_F(BatcherDepartureTest, FullQueueTellsWhenHalfOfItIsDone) {
  Start({.max_batch_tokens = 10, .queue = {.max_tokens = 40}}, {kOneSecond});
  KeepWorkersBusy();
  for (int i = 0; i < 4; ++i) ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(10)), IsOk());
  const absl::Status refused = Schedule(NewProbe().MakeTaskOfLength(10));
  ASSERT_TRUE(RefusalOf(refused).has_value());
  EXPECT_EQ(RefusalOf(refused)->reason, Refusal::Reason::kQueueFull);
  EXPECT_GT(RefusalOf(refused)->retry_after, absl::Milliseconds(1500));
  EXPECT_LT(RefusalOf(refused)->retry_after, absl::Milliseconds(3000));
  engine_.Resume();
}

TEST_F(BatcherDepartureTest, PredictedWaitGrowsWithTheQueueAndFallsToNothing) {
  Start({.num_workers = 2, .max_batch_tokens = 10});
  EXPECT_EQ(batcher_->waiting().predicted_wait, absl::ZeroDuration());
  // Learns from what it computes.
  for (int i = 0; i < 20; ++i) {
    ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(10)), IsOk());
    probes_.back().Await();
  }
  KeepWorkersBusy(2);
  const double busy = absl::ToDoubleSeconds(batcher_->waiting().predicted_wait);
  for (int i = 0; i < 10; ++i) ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(10)), IsOk());
  const double queued = absl::ToDoubleSeconds(batcher_->waiting().predicted_wait);
  EXPECT_NEAR(queued - busy, 5.0, 1.0) << "ten batches of a second on two workers";
  EXPECT_EQ(metrics_.totals().queue.predicted_wait, batcher_->waiting().predicted_wait);
  engine_.Resume();
  batcher_->Drain();
  clock_.Advance(absl::Seconds(60));
  EXPECT_LE(batcher_->waiting().predicted_wait, absl::Milliseconds(1));
}

TEST_F(BatcherDepartureTest, MoreDeadTasksThanLeaveAtOnceAreAllAnswered) {
  Start();
  KeepWorkersBusy();
  constexpr int kDead = 1000;
  std::vector<Task> tasks;
  for (int i = 0; i < kDead; ++i) {
    tasks.push_back(NewProbe().MakeTask({1}));
    tasks.back().deadline = clock_.Now() + absl::Milliseconds(1);
  }
  ASSERT_THAT(Schedule(std::move(tasks)), IsOk());
  clock_.Advance(absl::Milliseconds(1));
  engine_.Resume();
  batcher_->Drain();
  EXPECT_EQ(metrics_.totals().expired, kDead);
  EXPECT_THAT(engine_.batches(), SizeIs(1));
}

TEST_F(BatcherDepartureTest, FullQueueRefusesAndLeavesTheTasksToTheCaller) {
  Start({.queue = {.max_tokens = 10}});
  KeepWorkersBusy();
  ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(8)), IsOk());
  std::vector<Task> tasks = Alone(NewProbe().MakeTaskOfLength(3));
  tasks[0].model = model_;
  EXPECT_THAT(batcher_->Schedule(tasks),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("8 tokens are waiting"), HasSubstr("limit is 10"))));
  ASSERT_THAT(tasks, SizeIs(1));
  EXPECT_EQ(tasks[0].ids.size(), 3u);
  EXPECT_TRUE(tasks[0].done != nullptr);
  engine_.Resume();
  batcher_->Drain();
  EXPECT_EQ(probes_.back().answers(), 0);
}

TEST_F(BatcherDepartureTest, RequestThatMeetsAnEmptyQueueIsTakenWhateverItsSize) {
  Start({.queue = {.max_tokens = 10}});
  KeepWorkersBusy();
  EXPECT_THAT(Schedule(NewProbe().MakeTaskOfLength(500)), IsOk());
  EXPECT_THAT(Schedule(NewProbe().MakeTaskOfLength(1)),
              StatusIs(absl::StatusCode::kResourceExhausted, _));
  engine_.Resume();
}

}  // namespace
}  // namespace contexture
