#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "core/engine/engine.h"
#include "server/batching/batcher_metrics.h"
#include "server/batching/task.h"

namespace contexture::test_support {

// Time that moves only when told. Thread safe.
class ManualClock final : public Clock {
 public:
  absl::Duration Now() const override {
    absl::MutexLock lock(&mutex_);
    return now_;
  }
  void Advance(absl::Duration duration) {
    absl::MutexLock lock(&mutex_);
    now_ += duration;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Duration now_ ABSL_GUARDED_BY(mutex_) = absl::Hours(1);
};

// What BatcherMetrics was told, added up. Thread safe.
class RecordingMetrics final : public BatcherMetrics {
 public:
  struct Totals {
    QueueRecord queue;  // the last one
    std::vector<BatchRecord> batches;
    std::vector<absl::Duration> queue_times;
    int64_t expired = 0, cancelled = 0, abandoned_tokens = 0;
    std::array<int64_t, kNumTrafficClasses> computed_tokens = {};
    std::array<int64_t, kNumSharings> sharings = {};
    int64_t cache_bytes = 0;
  };

  void SetQueue(const QueueRecord& queue) override;
  void RecordBatch(const BatchRecord& batch) override;
  void RecordQueueTime(absl::Duration queue_time) override;
  void RecordExpired(int64_t tasks) override;
  void RecordCancelled(int64_t tasks) override;
  void RecordAbandoned(int64_t tokens) override;
  void RecordSharing(Sharing sharing, int64_t tasks) override;
  void SetCacheBytes(int64_t bytes) override;
  void RecordComputed(TrafficClass traffic_class, int64_t tokens) override;
  Totals totals() const;

 private:
  mutable absl::Mutex mutex_;
  Totals totals_ ABSL_GUARDED_BY(mutex_);
};

// Sequences with these first ids misbehave.
inline constexpr uint32_t kNonFiniteId = 901;
inline constexpr uint32_t kThrowingId = 902;
inline constexpr uint32_t kFailingId = 903;
inline constexpr uint32_t kOutOfMemoryId = 904;

// Writes to every output of a sequence one float: the sum of its ids + 1000 * the sum of its type
// ids. Each run takes a second of CLOCK. Thread safe.
class ScriptedEngine final : public Engine {
 public:
  using Batch = std::vector<std::vector<uint32_t>>;  // the ids of each sequence

  explicit ScriptedEngine(ManualClock& clock) : clock_(clock) {}

  const EngineInfo& info() const override { return info_; }
  std::unique_ptr<Workspace> NewWorkspace() const override { return std::make_unique<Workspace>(); }
  absl::Status Run(const PackedBatch& batch, const OutputPlan& plan,
                   Workspace& workspace) const override;

  // From now on Run blocks in the engine until Resume.
  void Pause();
  void Resume();
  // Blocks until COUNT runs wait for Resume at once.
  void AwaitPausedRuns(int count) const;

  std::vector<Batch> batches() const;  // of all runs so far, in order of their start
  std::vector<std::string> thread_names() const;
  bool any_type_ids() const;  // whether a batch had type ids
  // Of the last batch.
  struct Extras {
    std::vector<uint32_t> positions, target_ids, target_offsets;
  };
  Extras extras() const;

 private:
  void Enter(const PackedBatch& batch) const;

  ManualClock& clock_;
  const EngineInfo info_;
  mutable absl::Mutex mutex_;
  mutable bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  mutable int paused_runs_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable bool any_type_ids_ ABSL_GUARDED_BY(mutex_) = false;
  mutable Extras extras_ ABSL_GUARDED_BY(mutex_);
  mutable std::vector<Batch> batches_ ABSL_GUARDED_BY(mutex_);
  mutable std::vector<std::string> thread_names_ ABSL_GUARDED_BY(mutex_);
};

// A task and what became of it. Stays where it is; outlives its task.
class TaskProbe {
 public:
  struct Answer {
    absl::Status status;
    TaskReport report;
    float value = 0.0f;
  };

  // A task of these ids with one output.
  Task MakeTask(std::vector<uint32_t> ids);
  Task MakeTaskOfLength(int length) { return MakeTask(std::vector<uint32_t>(length, 1)); }

  Answer Await() const;  // blocks until the task has been answered
  int answers() const;

 private:
  void OnDone(absl::Status status, const TaskReport& report);

  mutable absl::Mutex mutex_;
  int answers_ ABSL_GUARDED_BY(mutex_) = 0;
  Answer answer_ ABSL_GUARDED_BY(mutex_);
  float output_ = 0.0f;  // written by the engine, read after the answer
};

// A generation of ENGINE, which outlives it.
std::shared_ptr<ModelGeneration> GenerationOf(const Engine& engine, int num_workers = 1,
                                              absl::Span<const CostSample> samples = {});

// A vector of the task alone, as Schedule takes it.
std::vector<Task> Alone(Task task);

}  // namespace contexture::test_support
