#include "server/batching/batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>
#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/server/batching/batcher_fixture.h"

namespace contexture {
namespace {

using test_support::GenerationOf;
using test_support::IsOk;
using test_support::kOneSecond;
using test_support::kThrowingId;
using test_support::RecordingMetrics;
using test_support::ScriptedEngine;
using test_support::StatusIs;
using test_support::TaskProbe;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class BatcherTest : public test_support::BatcherFixture {};

TEST_F(BatcherTest, IdleWorkerComputesAtOnce) {
  Start();
  TaskProbe& probe = NewProbe();
  ASSERT_THAT(Schedule(probe.MakeTask({1, 2, 3})), IsOk());
  const TaskProbe::Answer answer = probe.Await();
  EXPECT_THAT(answer.status, IsOk());
  EXPECT_EQ(answer.value, 6.0f);
  EXPECT_EQ(answer.report.queue_time, absl::ZeroDuration());
}

TEST_F(BatcherTest, BatchFormsAcrossRequestsWhileTheWorkerIsBusy) {
  Start();
  KeepWorkersBusy();
  for (int length : {2, 3, 4}) ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(length)), IsOk());
  EXPECT_EQ(batcher_->waiting().tasks, 3);
  EXPECT_EQ(batcher_->waiting().tokens, 9);
  EXPECT_EQ(metrics_.totals().queue.tasks, 3);
  EXPECT_EQ(metrics_.totals().queue.tokens, 9);
  engine_.Resume();
  for (const TaskProbe& probe : probes_) EXPECT_THAT(probe.Await().status, IsOk());
  ASSERT_THAT(engine_.batches(), SizeIs(2));
  EXPECT_THAT(LengthsOfBatch(1), ElementsAre(2, 3, 4));
  EXPECT_EQ(probes_.back().Await().report.queue_time, absl::Seconds(1));
  EXPECT_EQ(metrics_.totals().queue.tasks, 0);
  EXPECT_EQ(metrics_.totals().queue.tokens, 0);
}

TEST_F(BatcherTest, BatchesAreBoundedInTokens) {
  Start({.max_batch_tokens = 10});
  KeepWorkersBusy();
  for (int length : {6, 5, 4, 5})
    ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(length)), IsOk());
  engine_.Resume();
  batcher_->Drain();
  ASSERT_THAT(engine_.batches(), SizeIs(3));
  EXPECT_THAT(LengthsOfBatch(1), ElementsAre(6, 4));
  EXPECT_THAT(LengthsOfBatch(2), ElementsAre(5, 5));
}

TEST_F(BatcherTest, OversizedTaskRunsAlone) {
  Start({.max_batch_tokens = 10});
  KeepWorkersBusy();
  for (int length : {40, 1, 2}) ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(length)), IsOk());
  engine_.Resume();
  batcher_->Drain();
  ASSERT_THAT(engine_.batches(), SizeIs(3));
  EXPECT_THAT(LengthsOfBatch(1), ElementsAre(40));
  EXPECT_THAT(LengthsOfBatch(2), ElementsAre(1, 2));
}

TEST_F(BatcherTest, NoTasksAreScheduledAtOnce) {
  Start();
  EXPECT_THAT(Schedule(std::vector<Task>()), IsOk());
}

TEST_F(BatcherTest, ThrowingTaskFailsAlone) {
  Start();
  KeepWorkersBusy();
  TaskProbe &before = NewProbe(), &culprit = NewProbe(), &after = NewProbe();
  ASSERT_THAT(Schedule(before.MakeTask({1})), IsOk());
  ASSERT_THAT(Schedule(culprit.MakeTask({kThrowingId})), IsOk());
  ASSERT_THAT(Schedule(after.MakeTask({2})), IsOk());
  engine_.Resume();
  EXPECT_THAT(before.Await().status, IsOk());
  EXPECT_THAT(culprit.Await().status, StatusIs(absl::StatusCode::kInternal, _));
  EXPECT_EQ(after.Await().value, 2.0f);
}

// Which workers are idle when a request arrives is theirs to decide, so it is tried until both are.
TEST_F(BatcherTest, IdleWorkersShareOneRequest) {
  Start({.num_workers = 2});
  bool shared = false;
  for (int round = 0; round < 1000 && !shared; ++round) {
    const size_t batches_before = engine_.batches().size();
    std::deque<TaskProbe> probes(4);
    std::vector<Task> tasks;
    for (TaskProbe& probe : probes) tasks.push_back(probe.MakeTaskOfLength(100));
    ASSERT_THAT(Schedule(std::move(tasks)), IsOk());
    for (const TaskProbe& probe : probes) ASSERT_THAT(probe.Await().status, IsOk());
    const auto batches = engine_.batches();
    shared = batches.size() == batches_before + 2 && batches.back().size() == 2;
  }
  EXPECT_TRUE(shared);
}

TEST_F(BatcherTest, EachWorkerComputesABatchOfItsOwn) {
  Start({.num_workers = 3});
  KeepWorkersBusy(3);
  engine_.Resume();
  batcher_->Drain();
  const std::vector<std::string> names = engine_.thread_names();
  EXPECT_THAT(std::set<std::string>(names.begin(), names.end()),
              ElementsAre("ctx-worker-0", "ctx-worker-1", "ctx-worker-2"));
}

TEST_F(BatcherTest, DrainAnswersEverythingAndRefusesNewTasks) {
  Start();
  KeepWorkersBusy();
  for (int i = 0; i < 20; ++i) ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(100)), IsOk());
  absl::Notification drained;
  std::thread drainer([&] {
    batcher_->Drain();
    drained.Notify();
  });
  // Until the drain has begun a task is admitted, which the drain then answers too.
  while (Schedule(NewProbe().MakeTaskOfLength(1)).ok()) std::this_thread::yield();
  EXPECT_THAT(Schedule(probes_.back().MakeTaskOfLength(1)),
              StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_FALSE(drained.HasBeenNotified()) << "while a task is being computed";
  probes_.pop_back();
  engine_.Resume();
  drainer.join();
  for (const TaskProbe& probe : probes_) {
    EXPECT_EQ(probe.answers(), 1);
    EXPECT_THAT(probe.Await().status, IsOk());
  }
  EXPECT_EQ(batcher_->waiting().tasks, 0);
}

TEST_F(BatcherTest, DestructorAnswersTheRestWithUnavailable) {
  Start();
  KeepWorkersBusy();
  for (int i = 0; i < 5; ++i) ASSERT_THAT(Schedule(NewProbe().MakeTaskOfLength(1)), IsOk());
  std::thread resumer([this] {
    probes_.back().Await();  // answered although the worker is still busy
    engine_.Resume();
  });
  batcher_.reset();
  resumer.join();
  EXPECT_THAT(probes_.front().Await().status, IsOk()) << "the one that was being computed";
  for (size_t i = 0; i < probes_.size(); ++i) EXPECT_EQ(probes_[i].answers(), 1);
  for (size_t i = 1; i < probes_.size(); ++i) {
    EXPECT_THAT(probes_[i].Await().status, StatusIs(absl::StatusCode::kUnavailable, _));
  }
  EXPECT_THAT(engine_.batches(), SizeIs(1));
  EXPECT_EQ(metrics_.totals().queue.tasks, 0);
}

TEST_F(BatcherTest, TaskMayScheduleTheNextOneWhenItIsDone) {
  Start();
  TaskProbe& next = NewProbe();
  Task first;
  first.ids = {1};
  first.done = [&](absl::Status, const TaskReport&) {
    EXPECT_THAT(Schedule(next.MakeTask({5})), IsOk());
  };
  ASSERT_THAT(Schedule(std::move(first)), IsOk());
  EXPECT_EQ(next.Await().value, 5.0f);
}

// Answers of one thread of many.
struct Tally {
  std::deque<TaskProbe> probes;
  int refused = 0;
};

using Models = std::vector<std::shared_ptr<ModelGeneration>>;

void ScheduleMany(Batcher& batcher, const Clock& clock, const Models& models, int seed,
                  Tally& tally) {
  std::mt19937 random(seed);
  for (int request = 0; request < 150; ++request) {
    std::vector<Task> tasks;
    for (uint32_t i = random() % 4 + 1; i > 0; --i) {
      const uint32_t first_id = random() % 20 == 0 ? kThrowingId : 1 + random() % 50;
      std::vector<uint32_t> ids(1 + random() % 40, 1);
      ids[0] = first_id;
      tasks.push_back(tally.probes.emplace_back().MakeTask(std::move(ids)));
      if (random() % 10 == 0) tasks.back().deadline = clock.Now() + absl::Seconds(3);
      tasks.back().cancelled = std::make_shared<std::atomic<bool>>(random() % 20 == 0);
    }
    const size_t count = tasks.size();
    const auto& model = models[random() % models.size()];
    for (Task& task : tasks) task.model = model;
    if (batcher.Schedule(tasks).ok()) continue;
    ++tally.refused;
    for (size_t i = 0; i < count; ++i) tally.probes.pop_back();
  }
}

TEST_F(BatcherTest, EveryTaskOfManyThreadsIsAnsweredOnce) {
  Start({.num_workers = 3, .max_batch_tokens = 64, .queue = {.max_tokens = 400}});
  constexpr int kThreads = 8;
  const Models models = {model_, GenerationOf(engine_, 3), GenerationOf(engine_, 3)};
  std::vector<Tally> tallies(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] { ScheduleMany(*batcher_, clock_, models, i, tallies[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  batcher_->Drain();
  size_t answered = 0, expired = 0, cancelled = 0;
  for (const Tally& tally : tallies) {
    for (const TaskProbe& probe : tally.probes) {
      EXPECT_EQ(probe.answers(), 1);
      ++answered;
      expired += probe.Await().status.code() == absl::StatusCode::kDeadlineExceeded;
      cancelled += probe.Await().status.code() == absl::StatusCode::kCancelled;
    }
  }
  EXPECT_GT(answered, 0u);
  const RecordingMetrics::Totals totals = metrics_.totals();
  EXPECT_EQ(static_cast<size_t>(totals.expired), expired);
  EXPECT_EQ(static_cast<size_t>(totals.cancelled), cancelled);
  EXPECT_EQ(totals.queue_times.size() + expired + cancelled, answered);
  EXPECT_EQ(totals.queue.tasks, 0);
}

TEST_F(BatcherTest, ModelsShareTheWorkersAndEachBatchIsOfOne) {
  Start({.num_workers = 2});
  ScriptedEngine second{clock_};
  const auto other = GenerationOf(second, /*num_workers=*/2);
  KeepWorkersBusy(2);
  for (uint32_t i = 0; i < 6; ++i) {
    Task task = NewProbe().MakeTask({i});
    if (i % 2 == 1) task.model = other;
    ASSERT_THAT(Schedule(std::move(task)), IsOk());
  }
  engine_.Resume();
  batcher_->Drain();
  for (const TaskProbe& probe : probes_) EXPECT_THAT(probe.Await().status, IsOk());
  const auto sequences = [](const ScriptedEngine& engine) {
    std::multiset<uint32_t> all;
    for (const auto& batch : engine.batches()) {
      for (const auto& ids : batch) all.insert(ids[0]);
    }
    return all;
  };
  EXPECT_THAT(sequences(engine_), ElementsAre(0, 2, 4, 7, 7));
  EXPECT_THAT(sequences(second), ElementsAre(1, 3, 5));
}

TEST_F(BatcherTest, ModelIsFreedOnceItsLastBatchIsAnsweredAndNotBefore) {
  Start();
  KeepWorkersBusy();
  auto replaced = GenerationOf(engine_);
  const std::weak_ptr<ModelGeneration> life = replaced;
  TaskProbe& probe = NewProbe();
  Task task = probe.MakeTask({1});
  task.model = std::move(replaced);
  ASSERT_THAT(Schedule(std::move(task)), IsOk());
  EXPECT_FALSE(life.expired()) << "it still has work";
  engine_.Resume();
  EXPECT_THAT(probe.Await().status, IsOk());
  batcher_->Drain();
  EXPECT_TRUE(life.expired()) << "a worker that is idle keeps nothing";
}

TEST_F(BatcherTest, EachModelHasACostModelOfItsOwn) {
  Start({.max_batch_tokens = 10}, {kOneSecond});
  const auto fast = GenerationOf(
      engine_, 1, {{.size = {.tokens = 10, .squares = 100}, .time = absl::Milliseconds(10)}});
  const auto schedule_within = [&](std::shared_ptr<ModelGeneration> model, absl::Duration time) {
    Task task = NewProbe().MakeTaskOfLength(10);
    task.deadline = clock_.Now() + time;
    task.model = std::move(model);
    return Schedule(std::move(task));
  };
  EXPECT_THAT(schedule_within(model_, absl::Milliseconds(500)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("predicted wait")));
  EXPECT_THAT(schedule_within(fast, absl::Milliseconds(500)), IsOk());
}

}  // namespace
}  // namespace contexture
