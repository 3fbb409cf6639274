// Workers that help others with their batches.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "server/batching/batcher.h"
#include "server/batching/scheduler.h"
#include "tests/server/batching/batching_fakes.h"
#include "tests/support/meeting.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::Alone;
using test_support::GenerationOf;
using test_support::IsOk;
using test_support::ManualClock;
using test_support::Meeting;
using test_support::RecordingMetrics;
using test_support::StatusIs;
using test_support::TaskProbe;
using ::testing::_;
using ::testing::SizeIs;

// Batches of 10 tokens take a second, those of one a tenth.
constexpr CostSample kLong = {.size = {.tokens = 10, .squares = 100}, .time = absl::Seconds(1)};

Task TaskOf(const std::shared_ptr<ModelGeneration>& model, TaskProbe& probe, int length) {
  Task task = probe.MakeTaskOfLength(length);
  task.model = model;
  return task;
}

class HelpersForTest : public testing::Test {
 protected:
  explicit HelpersForTest(int intra_op_threads = 8)
      : scheduler_({.num_workers = 3,
                    .intra_op_threads = intra_op_threads,
                    .policy = {.max_batch_tokens = 10}}) {}
  void Schedule(const std::shared_ptr<ModelGeneration>& model, int length) {
    auto tasks = Alone(TaskOf(model, probes_.emplace_back(), length));
    ASSERT_THAT(scheduler_.Schedule(absl::MakeSpan(tasks), {}), IsOk());
  }
  void Take(int worker) { scheduler_.Take(worker, {}, departures_); }
  static std::shared_ptr<ModelGeneration> ModelOf(const CostSample& sample) {
    return std::make_shared<ModelGeneration>(nullptr, 3, CostModel({&sample, 1}));
  }

  std::deque<TaskProbe> probes_;
  Departures departures_;
  Scheduler scheduler_;
  const std::shared_ptr<ModelGeneration> model_ = ModelOf(kLong);
};

TEST_F(HelpersForTest, AllIdleWorkersHelpALonelyBatch) {
  EXPECT_EQ(scheduler_.HelpersFor(0), 0) << "it has no batch";
  Schedule(model_, 10);
  Take(0);
  EXPECT_EQ(scheduler_.HelpersFor(0), 2);
  Schedule(model_, 10);
  Take(1);
  EXPECT_EQ(scheduler_.HelpersFor(1), 1);
  Schedule(model_, 10);
  Take(2);
  EXPECT_EQ(scheduler_.HelpersFor(2), 0);
}

TEST_F(HelpersForTest, NobodyHelpsWhileSomethingWaits) {
  Schedule(model_, 10);
  Schedule(model_, 10);
  Take(0);
  EXPECT_EQ(scheduler_.HelpersFor(0), 0);
}

TEST_F(HelpersForTest, NobodyHelpsWithABatchThatIsShortOrOfUnknownLength) {
  CostSample quick = kLong;
  quick.time = absl::Microseconds(100);
  for (const auto& model : {ModelOf(quick), ModelOf({})}) {
    Schedule(model, 10);
    Take(0);
    ASSERT_THAT(departures_.taken, SizeIs(1));
    EXPECT_EQ(scheduler_.HelpersFor(0), 0);
    departures_.taken.clear();
    scheduler_.Finish(0, {}, {});
  }
}

TEST_F(HelpersForTest, NobodyHelpsWithWorkThatIsNoSequence) {
  auto tasks = Alone(TaskOf(model_, probes_.emplace_back(), 10));
  tasks[0].work = [](const Engine&, Workspace&) { return absl::OkStatus(); };
  tasks[0].work_tokens = 10;
  ASSERT_THAT(scheduler_.Schedule(absl::MakeSpan(tasks), {}), IsOk());
  Take(0);
  ASSERT_THAT(departures_.taken, SizeIs(1));
  EXPECT_EQ(scheduler_.HelpersFor(0), 0);
}

class FewHelpersTest : public HelpersForTest {
 protected:
  FewHelpersTest() : HelpersForTest(/*intra_op_threads=*/2) {}
};

TEST_F(FewHelpersTest, NoMoreHelpThanMayShareABatch) {
  Schedule(model_, 10);
  Take(0);
  EXPECT_EQ(scheduler_.HelpersFor(0), 1);
}

// Runs what it is told to, with the team that the workspace shares its work with.
class TeamEngine final : public Engine {
 public:
  struct OwnWorkspace : Workspace {
    void ShareWith(Team* new_team, absl::Span<const std::unique_ptr<Workspace>> members) override {
      team = new_team;
      num_members = members.size();
    }
    Team* team = nullptr;
    size_t num_members = 0;
  };
  // Given the number of tokens.
  using Run1 = std::function<void(int tokens, const OwnWorkspace& workspace)>;

  explicit TeamEngine(ManualClock& clock) : clock_(clock) {}
  const EngineInfo& info() const override { return info_; }
  std::unique_ptr<Workspace> NewWorkspace() const override {
    return std::make_unique<OwnWorkspace>();
  }
  absl::Status Run(const PackedBatch& batch, const OutputPlan&,
                   Workspace& workspace) const override {
    run(batch.num_tokens(), static_cast<OwnWorkspace&>(workspace));
    clock_.Advance(absl::Seconds(5));
    return absl::OkStatus();
  }

  Run1 run;

 private:
  ManualClock& clock_;
  const EngineInfo info_;
};

class HelpersTest : public testing::Test {
 protected:
  void Start(int num_workers, int intra_op_threads) {
    model_ = GenerationOf(engine_, num_workers, {kLong});
    batcher_ = NewBatcher({.num_workers = num_workers, .intra_op_threads = intra_op_threads},
                          clock_, metrics_);
  }
  TaskProbe& Schedule(int length) {
    TaskProbe& probe = probes_.emplace_back();
    auto tasks = Alone(TaskOf(model_, probe, length));
    EXPECT_THAT(batcher_->Schedule(tasks), IsOk());
    return probe;
  }

  ManualClock clock_;
  RecordingMetrics metrics_;
  TeamEngine engine_{clock_};
  std::deque<TaskProbe> probes_;
  std::shared_ptr<ModelGeneration> model_;
  std::unique_ptr<Batcher> batcher_;
};

TEST_F(HelpersTest, IdleWorkersComputeALonelyBatchTogetherAndAgain) {
  engine_.run = [](int tokens, const TeamEngine::OwnWorkspace& workspace) {
    ASSERT_NE(workspace.team, nullptr);
    EXPECT_EQ(workspace.num_members, 3u);
    // Later the leader of the batch before may not be idle yet.
    const int members = tokens == 11 ? 3 : 2;
    Meeting meeting(members);
    workspace.team->ForEach(members, [&](int, int) { meeting.Join(); });
  };
  Start(/*num_workers=*/3, /*intra_op_threads=*/3);
  const BatchSize size = kLong.size;
  const absl::Duration before = batcher_->CostsOf(*model_).Predict(size);
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(Schedule(i == 0 ? 11 : 10).Await().status, IsOk());
  }
  batcher_->Drain();
  ASSERT_THAT(metrics_.totals().batches, SizeIs(20));
  for (const BatchRecord& batch : metrics_.totals().batches) EXPECT_TRUE(batch.helped);
  EXPECT_EQ(batcher_->CostsOf(*model_).Predict(size), before) << "nothing is learnt from these";
}

TEST_F(HelpersTest, WithoutIntraOpThreadsEachWorkerComputesAlone) {
  engine_.run = [](int, const TeamEngine::OwnWorkspace& workspace) {
    EXPECT_EQ(workspace.team, nullptr);
  };
  Start(/*num_workers=*/3, /*intra_op_threads=*/1);
  EXPECT_THAT(Schedule(10).Await().status, IsOk());
  batcher_->Drain();
  EXPECT_FALSE(metrics_.totals().batches.at(0).helped);
  EXPECT_GT(batcher_->CostsOf(*model_).Predict(kLong.size), absl::Seconds(1));
}

// The leader goes on only when the helper has computed the other task.
TEST_F(HelpersTest, HelperLeavesForNewWorkBeforeTheBatchIsDone) {
  absl::Notification together, second_done;
  engine_.run = [&](int tokens, const TeamEngine::OwnWorkspace& workspace) {
    if (tokens == 11) return second_done.Notify();
    Meeting meeting(2);
    workspace.team->ForEach(2, [&](int, int) { meeting.Join(); });
    together.Notify();
    second_done.WaitForNotification();
    std::atomic<int> parts{0};
    workspace.team->ForEach(7, [&](int, int) { ++parts; });
    EXPECT_EQ(parts, 7);
  };
  Start(/*num_workers=*/2, /*intra_op_threads=*/2);
  TaskProbe& first = Schedule(10);
  together.WaitForNotification();
  EXPECT_THAT(Schedule(11).Await().status, IsOk());
  EXPECT_THAT(first.Await().status, IsOk());
}

TEST_F(HelpersTest, HelperComesBackWhenTheNewWorkIsDone) {
  absl::Notification together;
  TaskProbe& other = probes_.emplace_back();
  engine_.run = [&](int tokens, const TeamEngine::OwnWorkspace& workspace) {
    if (tokens == 11) return;
    Meeting before(2), after(2);
    workspace.team->ForEach(2, [&](int, int) { before.Join(); });
    together.Notify();
    other.Await();
    workspace.team->ForEach(2, [&](int, int) { after.Join(); });
  };
  Start(/*num_workers=*/2, /*intra_op_threads=*/2);
  TaskProbe& first = Schedule(10);
  together.WaitForNotification();
  auto tasks = Alone(TaskOf(model_, other, 11));
  ASSERT_THAT(batcher_->Schedule(tasks), IsOk());
  EXPECT_THAT(first.Await().status, IsOk());
}

TEST_F(HelpersTest, WhatAHelperThrowsFailsTheBatchAlone) {
  engine_.run = [&](int tokens, const TeamEngine::OwnWorkspace& workspace) {
    // The leader of the batch before may not be idle yet.
    if (tokens == 10 && workspace.team == nullptr) return;
    Meeting meeting(2);
    workspace.team->ForEach(2, [&](int, int member) {
      meeting.Join();
      const bool leads = &workspace == model_->workspaces[member].get();
      if (tokens == 11 && !leads) throw std::runtime_error("an internal name");
    });
  };
  Start(/*num_workers=*/2, /*intra_op_threads=*/2);
  EXPECT_THAT(Schedule(11).Await().status, StatusIs(absl::StatusCode::kInternal, _));
  EXPECT_THAT(Schedule(10).Await().status, IsOk());
}

TEST_F(HelpersTest, StopsWhileWorkersHelp) {
  absl::Notification together, stop;
  engine_.run = [&](int, const TeamEngine::OwnWorkspace& workspace) {
    Meeting meeting(2);
    workspace.team->ForEach(2, [&](int, int) { meeting.Join(); });
    together.Notify();
    stop.WaitForNotification();
    workspace.team->ForEach(3, [](int, int) {});
  };
  Start(/*num_workers=*/2, /*intra_op_threads=*/2);
  TaskProbe& probe = Schedule(10);
  together.WaitForNotification();
  std::thread stopper([&] { batcher_.reset(); });
  stop.Notify();
  stopper.join();
  EXPECT_THAT(probe.Await().status, IsOk());
}

TEST_F(HelpersTest, EveryTaskOfManyThreadsIsAnsweredOnce) {
  std::atomic<int64_t> parts{0}, expected{0};
  engine_.run = [&](int, const TeamEngine::OwnWorkspace& workspace) {
    for (int stage = 0; workspace.team != nullptr && stage < 5; ++stage) {
      workspace.team->ForEach(9, [&](int, int) { ++parts; });
      expected += 9;
    }
  };
  Start(/*num_workers=*/4, /*intra_op_threads=*/3);
  constexpr int kThreads = 4, kTasks = 300;
  std::vector<std::deque<TaskProbe>> probes(kThreads);
  std::vector<std::thread> threads;
  for (auto& own : probes) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTasks; ++i) {
        auto tasks = Alone(TaskOf(model_, own.emplace_back(), 1 + i % 20));
        ASSERT_THAT(batcher_->Schedule(tasks), IsOk());
        if (i % 3 == 0) own.back().Await();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  batcher_->Drain();
  for (const auto& own : probes) {
    for (const TaskProbe& probe : own) EXPECT_EQ(probe.answers(), 1);
  }
  EXPECT_GT(parts, 0);
  EXPECT_EQ(parts, expected);
}

}  // namespace
}  // namespace contexture
