#include "server/batching/batch_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <stdexcept>

#include "tests/server/batching/batching_fakes.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::kFailingId;
using test_support::kNonFiniteId;
using test_support::kOutOfMemoryId;
using test_support::kThrowingId;
using test_support::ManualClock;
using test_support::RecordingMetrics;
using test_support::ScriptedEngine;
using test_support::StatusIs;
using test_support::TaskProbe;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class BatchRunnerTest : public testing::Test {
 protected:
  void Add(std::vector<uint32_t> ids) {
    tasks_.push_back({.task = probes_.emplace_back().MakeTask(std::move(ids)),
                      .enqueued = clock_.Now() - absl::Seconds(5)});
    tasks_.back().task.model = model_;
  }
  void Run() {
    runner_.Run(tasks_);
    EXPECT_THAT(tasks_, IsEmpty());
  }
  TaskProbe::Answer AnswerOf(int task) {
    EXPECT_EQ(probes_[task].answers(), 1) << "task " << task;
    return probes_[task].Await();
  }

  ManualClock clock_;
  RecordingMetrics metrics_;
  ScriptedEngine engine_{clock_};
  const std::shared_ptr<ModelGeneration> model_ = test_support::GenerationOf(engine_, 2);
  BatchRunner runner_{{.clock = clock_, .metrics = metrics_}, /*worker=*/1, 64};
  std::deque<TaskProbe> probes_;
  std::vector<QueuedTask> tasks_;
};

TEST_F(BatchRunnerTest, EachTaskGetsItsOwnResult) {
  Add({1, 2, 3});
  Add({10});
  Add({4, 5});
  Run();
  EXPECT_EQ(AnswerOf(0).value, 6.0f);
  EXPECT_EQ(AnswerOf(1).value, 10.0f);
  EXPECT_EQ(AnswerOf(2).value, 9.0f);
  EXPECT_THAT(engine_.batches(), SizeIs(1));
  EXPECT_FALSE(engine_.any_type_ids());
}

TEST_F(BatchRunnerTest, TypeIdsAreZeroForTasksWithoutThem) {
  Add({1, 2});
  Add({3, 4});
  Add({5});
  tasks_[1].task.type_ids = {0, 1};
  Run();
  EXPECT_EQ(AnswerOf(0).value, 3.0f);
  EXPECT_EQ(AnswerOf(1).value, 1007.0f);
  EXPECT_EQ(AnswerOf(2).value, 5.0f);
  EXPECT_TRUE(engine_.any_type_ids());

  Add({1});
  Run();
  EXPECT_EQ(AnswerOf(3).value, 1.0f) << "type ids of the batch before";
}

TEST_F(BatchRunnerTest, PositionsCountFromZeroForTasksWithoutThem) {
  Add({1, 2});
  Add({3, 4, 5});
  tasks_[0].task.positions = {7, 3};
  Run();
  EXPECT_THAT(engine_.extras().positions, ElementsAre(7, 3, 0, 1, 2));
  Add({1});
  Run();
  EXPECT_THAT(engine_.extras().positions, IsEmpty()) << "positions of the batch before";
}

TEST_F(BatchRunnerTest, TargetsLieEndToEndAndCountAsTokens) {
  Add({1, 2});
  Add({3});
  tasks_[0].task.target_ids = {7};
  tasks_[1].task.target_ids = {8, 9, 8};
  Run();
  EXPECT_THAT(engine_.extras().target_ids, ElementsAre(7, 8, 9, 8));
  EXPECT_THAT(engine_.extras().target_offsets, ElementsAre(0, 1, 4));
  EXPECT_EQ(AnswerOf(0).report.batch_tokens, 7);
  Add({1});
  Run();
  EXPECT_THAT(engine_.extras().target_offsets, IsEmpty());
}

TEST_F(BatchRunnerTest, ReportAndMetricsTellWhatTheBatchWas) {
  Add({1, 2, 3});
  Add({10});
  Run();
  const TaskReport report = AnswerOf(1).report;
  EXPECT_EQ(report.queue_time, absl::Seconds(5));
  EXPECT_EQ(report.compute_time, absl::Seconds(1));
  EXPECT_EQ(report.batch_sequences, 2);
  EXPECT_EQ(report.batch_tokens, 4);
  const RecordingMetrics::Totals totals = metrics_.totals();
  ASSERT_THAT(totals.batches, SizeIs(1));
  EXPECT_EQ(totals.batches[0].sequences, 2);
  EXPECT_EQ(totals.batches[0].tokens, 4);
  EXPECT_EQ(totals.batches[0].compute_time, absl::Seconds(1));
  EXPECT_THAT(totals.queue_times, ElementsAre(absl::Seconds(5), absl::Seconds(5)));
}

TEST_F(BatchRunnerTest, NonFiniteResultFailsAlone) {
  Add({1});
  Add({kNonFiniteId, 1, 1});
  Add({2});
  Run();
  EXPECT_THAT(AnswerOf(0).status, IsOk());
  EXPECT_THAT(AnswerOf(1).status, StatusIs(absl::StatusCode::kInternal,
                                           AllOf(HasSubstr("3 tokens"), HasSubstr("not finite"))));
  EXPECT_THAT(AnswerOf(2).status, IsOk());
  EXPECT_THAT(engine_.batches(), SizeIs(1)) << "computed again without need";
}

TEST_F(BatchRunnerTest, ThrowingBatchIsolatesTheCulprit) {
  Add({1});
  Add({kThrowingId});
  Add({kNonFiniteId});
  Add({2, 3});
  Run();
  EXPECT_EQ(AnswerOf(0).value, 1.0f);
  EXPECT_THAT(AnswerOf(0).status, IsOk());
  EXPECT_THAT(AnswerOf(1).status,
              StatusIs(absl::StatusCode::kInternal, Not(HasSubstr("an internal name"))));
  EXPECT_THAT(AnswerOf(2).status, StatusIs(absl::StatusCode::kInternal, HasSubstr("not finite")));
  EXPECT_THAT(AnswerOf(3).status, IsOk());
  EXPECT_EQ(AnswerOf(3).value, 5.0f);
  EXPECT_THAT(engine_.batches(), SizeIs(1 + 4));
  EXPECT_THAT(metrics_.totals().batches, SizeIs(1)) << "one batch, however often it was computed";
}

TEST_F(BatchRunnerTest, FailingBatchIsolatesTheCulprit) {
  Add({1});
  Add({kFailingId, 0});
  Run();
  EXPECT_THAT(AnswerOf(0).status, IsOk());
  EXPECT_THAT(AnswerOf(1).status,
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("2 tokens"), HasSubstr("scripted failure"))));
}

TEST_F(BatchRunnerTest, FailingTaskAloneIsComputedOnce) {
  Add({kOutOfMemoryId});
  Run();
  EXPECT_THAT(AnswerOf(0).status,
              StatusIs(absl::StatusCode::kInternal, HasSubstr("out of memory")));
  EXPECT_THAT(engine_.batches(), SizeIs(1));
}

TEST_F(BatchRunnerTest, WorkOfItsOwnRunsBesideSequencesAndKeepsItsStatus) {
  Add({1, 2});
  Add({});
  Add({3});
  tasks_[1].task.work = [this](const Engine& engine, Workspace&) {
    EXPECT_EQ(&engine, &engine_);
    EXPECT_EQ(probes_[0].answers() + probes_[2].answers(), 2) << "sequences waited for it";
    clock_.Advance(absl::Seconds(3));
    return absl::FailedPreconditionError("not this model");
  };
  tasks_[1].task.work_tokens = 70;
  Run();
  EXPECT_EQ(AnswerOf(0).value, 3.0f);
  EXPECT_EQ(AnswerOf(2).value, 3.0f);
  EXPECT_THAT(engine_.batches(), ElementsAre(SizeIs(2)));
  const TaskProbe::Answer answer = AnswerOf(1);
  EXPECT_THAT(answer.status,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not this model")));
  EXPECT_EQ(answer.report.queue_time, absl::Seconds(5 + 1));
  EXPECT_EQ(answer.report.compute_time, absl::Seconds(3));
  EXPECT_EQ(answer.report.batch_tokens, 70);
  ASSERT_THAT(metrics_.totals().batches, SizeIs(2));
  EXPECT_EQ(metrics_.totals().batches[1].tokens, 70);
  EXPECT_EQ(metrics_.totals().batches[1].sequences, 0) << "it is not one of the batches";
  EXPECT_EQ(metrics_.totals().batches[1].compute_time, absl::Seconds(3));
}

TEST_F(BatchRunnerTest, WorkThatThrowsFailsWithoutNamingWhy) {
  Add({});
  tasks_[0].task.work = [](const Engine&, Workspace&) -> absl::Status {
    throw std::runtime_error("an internal name");
  };
  Run();
  EXPECT_THAT(AnswerOf(0).status,
              StatusIs(absl::StatusCode::kInternal, Not(HasSubstr("an internal name"))));
}

TEST_F(BatchRunnerTest, NothingIsNotABatch) {
  Run();
  EXPECT_THAT(engine_.batches(), IsEmpty());
  EXPECT_THAT(metrics_.totals().batches, IsEmpty());
}

}  // namespace
}  // namespace contexture
