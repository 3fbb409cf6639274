#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "server/batching/batcher.h"
#include "tests/server/batching/batching_fakes.h"
#include "tests/support/status_matchers.h"

namespace contexture::test_support {

// Each run of the engine takes a second, which the samples say too.
inline constexpr CostSample kOneSecond = {.size = {.tokens = 10, .squares = 100},
                                          .time = absl::Seconds(1)};

// A batcher with a scripted engine, and probes of what becomes of its tasks.
class BatcherFixture : public testing::Test {
 protected:
  void Start(BatcherOptions options = {}, std::vector<CostSample> samples = {}) {
    model_ = GenerationOf(engine_, options.num_workers, samples);
    batcher_ = NewBatcher(options, clock_, metrics_);
  }
  // Holds all workers in the engine, so that what is scheduled next waits.
  void KeepWorkersBusy(int num_workers = 1) {
    engine_.Pause();
    for (int i = 0; i < num_workers; ++i) {
      ASSERT_THAT(Schedule(Alone(NewProbe().MakeTask({7}))), IsOk());
      engine_.AwaitPausedRuns(i + 1);
    }
  }
  absl::Status Schedule(std::vector<Task> tasks) {
    for (Task& task : tasks) {
      if (task.model == nullptr) task.model = model_;
    }
    return batcher_->Schedule(tasks);
  }
  absl::Status Schedule(Task task) { return Schedule(Alone(std::move(task))); }
  TaskProbe& NewProbe() { return probes_.emplace_back(); }
  // The lengths of the sequences of batch INDEX.
  std::vector<size_t> LengthsOfBatch(size_t index) {
    std::vector<size_t> lengths;
    const ScriptedEngine::Batch batch = engine_.batches().at(index);
    for (const auto& ids : batch) lengths.push_back(ids.size());
    return lengths;
  }

  ManualClock clock_;
  RecordingMetrics metrics_;
  ScriptedEngine engine_{clock_};
  std::deque<TaskProbe> probes_;  // before the batcher: its destructor answers
  std::shared_ptr<ModelGeneration> model_;
  std::unique_ptr<Batcher> batcher_;
};

}  // namespace contexture::test_support
