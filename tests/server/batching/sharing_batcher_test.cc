#include "server/batching/sharing_batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <thread>

#include "server/batching/result_cache.h"
#include "tests/server/batching/batching_fakes.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::Alone;
using test_support::GenerationOf;
using test_support::IsOk;
using test_support::kNonFiniteId;
using test_support::ManualClock;
using test_support::RecordingMetrics;
using test_support::ScriptedEngine;
using test_support::StatusIs;
using test_support::TaskProbe;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::SizeIs;

class SharingBatcherTest : public testing::Test {
 protected:
  void Start(int64_t cache_bytes = 0, BatcherOptions options = {}) {
    model_ = GenerationOf(engine_, options.num_workers);
    batcher_ = NewSharingBatcher(NewBatcher(options, clock_, metrics_), cache_bytes, metrics_);
  }
  void KeepWorkerBusy() {
    engine_.Pause();
    ASSERT_THAT(Schedule(NewProbe().MakeTask({7})), IsOk());
    engine_.AwaitPausedRuns(1);
  }
  absl::Status Schedule(Task task) {
    if (task.model == nullptr) task.model = model_;
    std::vector<Task> tasks = Alone(std::move(task));
    return batcher_->Schedule(tasks);
  }
  Task Shareable(TaskProbe& probe, std::vector<uint32_t> ids) {
    Task task = probe.MakeTask(std::move(ids));
    task.model = model_;
    task.shareable = true;
    return task;
  }
  TaskProbe& NewProbe() { return probes_.emplace_back(); }
  int64_t shared(Sharing sharing) const {
    return metrics_.totals().sharings[static_cast<size_t>(sharing)];
  }

  ManualClock clock_;
  RecordingMetrics metrics_;
  ScriptedEngine engine_{clock_};
  std::deque<TaskProbe> probes_;
  std::shared_ptr<ModelGeneration> model_;
  std::unique_ptr<Batcher> batcher_;
};

TEST_F(SharingBatcherTest, EqualSequencesOfTwoModelsShareNothing) {
  Start(/*cache_bytes=*/1 << 20);
  ScriptedEngine second{clock_};
  const auto other = GenerationOf(second);
  for (const auto& model : {model_, other, other}) {
    TaskProbe& probe = NewProbe();
    Task task = Shareable(probe, {1, 2});
    task.model = model;
    ASSERT_THAT(Schedule(std::move(task)), IsOk());
    EXPECT_THAT(probe.Await().status, IsOk());
  }
  EXPECT_THAT(engine_.batches(), SizeIs(1));
  EXPECT_THAT(second.batches(), SizeIs(1)) << "the third is from the cache";
  EXPECT_EQ(shared(Sharing::kCached), 1);
}

TEST_F(SharingBatcherTest, EqualSequencesInFlightAreComputedOnce) {
  Start();
  KeepWorkerBusy();
  TaskProbe &first = NewProbe(), &second = NewProbe(), &other = NewProbe();
  ASSERT_THAT(Schedule(Shareable(first, {1, 2})), IsOk());
  ASSERT_THAT(Schedule(Shareable(second, {1, 2})), IsOk());
  ASSERT_THAT(Schedule(Shareable(other, {2, 1})), IsOk());
  engine_.Resume();
  EXPECT_EQ(first.Await().value, 3.0f);
  EXPECT_EQ(second.Await().value, 3.0f);
  EXPECT_FALSE(first.Await().report.cached);
  EXPECT_TRUE(second.Await().report.cached);
  EXPECT_TRUE(second.Await().report.joined);
  EXPECT_FALSE(other.Await().report.cached);
  batcher_->Drain();
  EXPECT_THAT(engine_.batches(), ElementsAre(_, SizeIs(2)));
  EXPECT_EQ(shared(Sharing::kJoined), 1);
}

TEST_F(SharingBatcherTest, OtherPositionsOrTargetsAreOtherSequences) {
  Start();
  std::vector<Task> tasks;
  for (int i = 0; i < 3; ++i) tasks.push_back(Shareable(NewProbe(), {4, 5}));
  tasks[1].positions = {1, 0};
  tasks[2].target_ids = {1, 0};
  ASSERT_THAT(batcher_->Schedule(tasks), IsOk());
  for (const TaskProbe& probe : probes_) EXPECT_FALSE(probe.Await().report.cached);
}

TEST_F(SharingBatcherTest, WhatIsNotShareableIsComputedItself) {
  Start(1 << 20);
  KeepWorkerBusy();
  ASSERT_THAT(Schedule(Shareable(NewProbe(), {1})), IsOk());
  ASSERT_THAT(Schedule(NewProbe().MakeTask({1})), IsOk());
  engine_.Resume();
  batcher_->Drain();
  ASSERT_THAT(Schedule(NewProbe().MakeTask({1})), StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_THAT(engine_.batches(), ElementsAre(_, SizeIs(2)));
}

TEST_F(SharingBatcherTest, UrgentTaskDoesNotWaitForALessUrgentOne) {
  Start();
  KeepWorkerBusy();
  Task bulk = Shareable(NewProbe(), {1}), later = Shareable(NewProbe(), {2});
  bulk.traffic_class = TrafficClass::kBulk;
  ASSERT_THAT(Schedule(std::move(bulk)), IsOk());
  ASSERT_THAT(Schedule(Shareable(NewProbe(), {1})), IsOk());
  ASSERT_THAT(Schedule(std::move(later)), IsOk());
  Task sooner = Shareable(NewProbe(), {2});
  sooner.deadline = clock_.Now() + absl::Minutes(1);
  ASSERT_THAT(Schedule(std::move(sooner)), IsOk());
  engine_.Resume();
  batcher_->Drain();
  EXPECT_EQ(shared(Sharing::kJoined), 0);
}

TEST_F(SharingBatcherTest, EqualInputsOfOneRequestAreComputedOnce) {
  Start();
  std::vector<Task> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(Shareable(NewProbe(), {4, 5}));
  ASSERT_THAT(batcher_->Schedule(tasks), IsOk());
  for (const TaskProbe& probe : probes_) EXPECT_EQ(probe.Await().value, 9.0f);
  EXPECT_THAT(engine_.batches(), ElementsAre(SizeIs(1)));
}

TEST_F(SharingBatcherTest, WhenTheFirstLeavesTheNextTakesItsPlace) {
  Start();
  KeepWorkerBusy();
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  TaskProbe &leaving = NewProbe(), &second = NewProbe(), &third = NewProbe();
  Task task = Shareable(leaving, {1});
  task.cancelled = cancelled;
  ASSERT_THAT(Schedule(std::move(task)), IsOk());
  ASSERT_THAT(Schedule(Shareable(second, {1})), IsOk());
  ASSERT_THAT(Schedule(Shareable(third, {1})), IsOk());
  *cancelled = true;
  batcher_->Forget(cancelled.get());
  EXPECT_THAT(leaving.Await().status, StatusIs(absl::StatusCode::kCancelled, _));
  engine_.Resume();
  EXPECT_EQ(second.Await().value, 1.0f);
  EXPECT_EQ(third.Await().value, 1.0f);
  EXPECT_FALSE(second.Await().report.cached);
  EXPECT_TRUE(third.Await().report.cached);
  batcher_->Drain();
  EXPECT_THAT(engine_.batches(), ElementsAre(_, SizeIs(1)));
}

TEST_F(SharingBatcherTest, WhoTakesAnothersPlaceIsNotRefusedAsTooLate) {
  Start();
  const std::vector<CostSample> a_second(
      8, {.size = {.tokens = 1, .squares = 1}, .time = absl::Seconds(1)});
  model_ = GenerationOf(engine_, 1, a_second);
  KeepWorkerBusy();
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  TaskProbe &leaving = NewProbe(), &second = NewProbe();
  Task task = Shareable(leaving, {1});
  task.deadline = clock_.Now() + absl::Seconds(10);
  task.cancelled = cancelled;
  ASSERT_THAT(Schedule(std::move(task)), IsOk());
  task = Shareable(second, {1});
  task.deadline = clock_.Now() + absl::Seconds(10);
  ASSERT_THAT(Schedule(std::move(task)), IsOk());
  clock_.Advance(absl::Seconds(9));
  Task arriving = NewProbe().MakeTask({1});
  arriving.deadline = clock_.Now() + absl::Seconds(1);
  EXPECT_THAT(Schedule(std::move(arriving)), StatusIs(absl::StatusCode::kResourceExhausted, _));
  *cancelled = true;
  batcher_->Forget(cancelled.get());
  EXPECT_EQ(second.answers(), 0);
  EXPECT_EQ(batcher_->waiting().tasks, 1);
  engine_.Resume();
  // The time that the busy worker took was not known.
  EXPECT_THAT(second.Await().status, StatusIs(absl::StatusCode::kDeadlineExceeded, _));
}

TEST_F(SharingBatcherTest, WhoTakesAnothersPlaceIsAnsweredInADrain) {
  Start();
  KeepWorkerBusy();
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  TaskProbe &leaving = NewProbe(), &second = NewProbe();
  Task task = Shareable(leaving, {1});
  task.cancelled = cancelled;
  ASSERT_THAT(Schedule(std::move(task)), IsOk());
  ASSERT_THAT(Schedule(Shareable(second, {1})), IsOk());
  std::thread drain([&] { batcher_->Drain(); });
  while (Schedule(NewProbe().MakeTask({2})).ok()) std::this_thread::yield();
  *cancelled = true;
  batcher_->Forget(cancelled.get());
  engine_.Resume();
  drain.join();
  EXPECT_EQ(second.answers(), 1) << "the drain waited for it";
  EXPECT_EQ(second.Await().value, 1.0f);
}

TEST_F(SharingBatcherTest, WhoIsMoreUrgentThanTheNextIsComputedToo) {
  Start();
  KeepWorkerBusy();
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  TaskProbe &leaving = NewProbe(), &next = NewProbe(), &bulk = NewProbe(), &patient = NewProbe();
  const auto schedule = [&](TaskProbe& probe, TrafficClass traffic_class, absl::Duration timeout,
                            std::shared_ptr<std::atomic<bool>> leaves) {
    Task task = Shareable(probe, {1});
    task.traffic_class = traffic_class;
    task.deadline = clock_.Now() + timeout;
    task.cancelled = std::move(leaves);
    ASSERT_THAT(Schedule(std::move(task)), IsOk());
  };
  schedule(leaving, TrafficClass::kInteractive, absl::Minutes(1), cancelled);
  schedule(next, TrafficClass::kInteractive, absl::Minutes(3), nullptr);
  schedule(bulk, TrafficClass::kBulk, absl::Minutes(2), nullptr);
  schedule(patient, TrafficClass::kBulk, absl::Minutes(4), nullptr);
  EXPECT_EQ(shared(Sharing::kJoined), 3);
  *cancelled = true;
  batcher_->Forget(cancelled.get());
  engine_.Resume();
  for (const TaskProbe* probe : {&next, &bulk, &patient}) EXPECT_EQ(probe->Await().value, 1.0f);
  EXPECT_FALSE(next.Await().report.cached);
  EXPECT_FALSE(bulk.Await().report.cached) << "its deadline is before the other's";
  EXPECT_TRUE(patient.Await().report.cached);
}

TEST_F(SharingBatcherTest, RefusedRequestLeavesNothingToJoin) {
  Start(0, {.queue = {.max_tokens = 4}});
  KeepWorkerBusy();
  ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(3)), IsOk());
  std::vector<Task> tasks;
  tasks.push_back(Shareable(NewProbe(), {1, 1}));
  tasks.push_back(Shareable(NewProbe(), {1, 1}));
  EXPECT_THAT(batcher_->Schedule(tasks), StatusIs(absl::StatusCode::kResourceExhausted, _));
  ASSERT_THAT(tasks, SizeIs(2));
  for (Task& task : tasks) EXPECT_TRUE(task.done != nullptr);
  engine_.Resume();
  TaskProbe& next = NewProbe();
  while (!Schedule(Shareable(next, {1, 1})).ok()) std::this_thread::yield();
  EXPECT_EQ(next.Await().value, 2.0f);
  EXPECT_FALSE(next.Await().report.cached);
}

TEST_F(SharingBatcherTest, FaultOfTheSequenceIsThatOfAllWhoAskedForIt) {
  Start(1 << 20);
  KeepWorkerBusy();
  TaskProbe &first = NewProbe(), &second = NewProbe();
  ASSERT_THAT(Schedule(Shareable(first, {kNonFiniteId})), IsOk());
  ASSERT_THAT(Schedule(Shareable(second, {kNonFiniteId})), IsOk());
  engine_.Resume();
  EXPECT_THAT(first.Await().status, StatusIs(absl::StatusCode::kInternal, _));
  EXPECT_THAT(second.Await().status, StatusIs(absl::StatusCode::kInternal, _));
  TaskProbe& again = NewProbe();
  ASSERT_THAT(Schedule(Shareable(again, {kNonFiniteId})), IsOk());
  EXPECT_THAT(again.Await().status, StatusIs(absl::StatusCode::kInternal, _));
  EXPECT_FALSE(again.Await().report.cached) << "a failure is not kept";
}

TEST_F(SharingBatcherTest, KeptResultsAreGivenAtOnce) {
  Start(1 << 20);
  TaskProbe &first = NewProbe(), &again = NewProbe();
  ASSERT_THAT(Schedule(Shareable(first, {3, 4})), IsOk());
  EXPECT_EQ(first.Await().value, 7.0f);
  engine_.Pause();
  ASSERT_THAT(Schedule(Shareable(again, {3, 4})), IsOk());
  EXPECT_EQ(again.answers(), 1);
  EXPECT_EQ(again.Await().value, 7.0f);
  EXPECT_TRUE(again.Await().report.cached);
  EXPECT_FALSE(again.Await().report.joined);
  EXPECT_EQ(shared(Sharing::kCached), 1);
  EXPECT_GT(metrics_.totals().cache_bytes, 0);
  engine_.Resume();
}

TEST_F(SharingBatcherTest, NothingIsKeptWithoutACache) {
  Start(0);
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(Schedule(Shareable(NewProbe(), {3})), IsOk());
    EXPECT_FALSE(probes_.back().Await().report.cached);
  }
}

TEST_F(SharingBatcherTest, DestructorAnswersThoseWhoJoined) {
  Start();
  KeepWorkerBusy();
  TaskProbe &first = NewProbe(), &second = NewProbe();
  ASSERT_THAT(Schedule(Shareable(first, {1})), IsOk());
  ASSERT_THAT(Schedule(Shareable(second, {1})), IsOk());
  std::thread resumer([&] {
    second.Await();
    engine_.Resume();
  });
  batcher_.reset();
  resumer.join();
  EXPECT_THAT(first.Await().status, StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_THAT(second.Await().status, StatusIs(absl::StatusCode::kUnavailable, _));
}

TEST(ResultCacheTest, LeastRecentlyUsedGoFirst) {
  const auto outputs = std::make_shared<const std::vector<char>>(100);
  ResultCache probe(1 << 20);
  probe.Insert("a", outputs);
  const int64_t entry = probe.bytes();
  ResultCache cache(2 * entry);
  cache.Insert("a", outputs);
  cache.Insert("b", outputs);
  EXPECT_NE(cache.Find("a"), nullptr);
  cache.Insert("c", outputs);
  EXPECT_EQ(cache.Find("b"), nullptr);
  EXPECT_NE(cache.Find("a"), nullptr);
  EXPECT_NE(cache.Find("c"), nullptr);
  EXPECT_EQ(cache.bytes(), 2 * entry);
  cache.Insert("large", std::make_shared<const std::vector<char>>(1000));
  EXPECT_EQ(cache.Find("large"), nullptr);
  EXPECT_EQ(cache.bytes(), 2 * entry);
}

TEST(ResultKeyTest, WhateverChangesTheResultChangesTheKey) {
  Task task;
  task.ids = {1, 2, 3};
  task.outputs = {{.spec = {.dimensions = 4}}};
  const uint32_t one = 1, two = 2;
  const float ranges[8] = {};
  std::vector<Task> others(13);
  for (Task& other : others) {
    other.ids = task.ids;
    other.outputs = task.outputs;
  }
  EXPECT_EQ(ResultKey(others[0]), ResultKey(task));
  others[0].ids = {1, 2};
  others[1].type_ids = {0, 0, 1};
  others[2].outputs[0].spec.dimensions = 5;
  others[3].outputs[0].spec.normalize = true;
  others[4].outputs[0].spec.pooling = PoolingKind::kCls;
  others[5].outputs[0].spec.data_type = DataType::kInt8;
  others[6].outputs[0].spec.kind = OutputKind::kTokens;
  others[7].outputs[0].spec.head.sparse = SparsePooling::kMax;
  others[8].outputs[0].spec.layer = 0;
  others[9].outputs[0].span_begins = absl::MakeConstSpan(&one, 1);
  others[10].outputs[0].span_ends = absl::MakeConstSpan(&one, 1);
  others[11].outputs[0].spec.int8_ranges = ranges;
  others[12].model = std::make_shared<ModelGeneration>(nullptr, 1);
  for (const Task& other : others) EXPECT_NE(ResultKey(other), ResultKey(task));
  Task spans;
  spans.ids = task.ids;
  spans.outputs = task.outputs;
  spans.outputs[0].span_begins = absl::MakeConstSpan(&two, 1);
  EXPECT_NE(ResultKey(spans), ResultKey(others[9]));
  spans.outputs[0].span_begins = absl::MakeConstSpan(&one, 1);
  EXPECT_EQ(ResultKey(spans), ResultKey(others[9]));
}

}  // namespace
}  // namespace contexture
