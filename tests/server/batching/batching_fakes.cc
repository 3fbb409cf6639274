#include "tests/server/batching/batching_fakes.h"

#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace contexture::test_support {

void RecordingMetrics::SetQueue(const QueueRecord& queue) {
  absl::MutexLock lock(&mutex_);
  totals_.queue = queue;
}

void RecordingMetrics::RecordBatch(const BatchRecord& batch) {
  absl::MutexLock lock(&mutex_);
  totals_.batches.push_back(batch);
}

void RecordingMetrics::RecordQueueTime(absl::Duration queue_time) {
  absl::MutexLock lock(&mutex_);
  totals_.queue_times.push_back(queue_time);
}

void RecordingMetrics::RecordExpired(int64_t tasks) {
  absl::MutexLock lock(&mutex_);
  totals_.expired += tasks;
}

void RecordingMetrics::RecordCancelled(int64_t tasks) {
  absl::MutexLock lock(&mutex_);
  totals_.cancelled += tasks;
}

void RecordingMetrics::RecordAbandoned(int64_t tokens) {
  absl::MutexLock lock(&mutex_);
  totals_.abandoned_tokens += tokens;
}

void RecordingMetrics::RecordComputed(TrafficClass traffic_class, int64_t tokens) {
  absl::MutexLock lock(&mutex_);
  totals_.computed_tokens[static_cast<size_t>(traffic_class)] += tokens;
}

void RecordingMetrics::RecordSharing(Sharing sharing, int64_t tasks) {
  absl::MutexLock lock(&mutex_);
  totals_.sharings[static_cast<size_t>(sharing)] += tasks;
}

void RecordingMetrics::SetCacheBytes(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  totals_.cache_bytes = bytes;
}

RecordingMetrics::Totals RecordingMetrics::totals() const {
  absl::MutexLock lock(&mutex_);
  return totals_;
}

absl::Status ScriptedEngine::Run(const PackedBatch& batch, const OutputPlan& plan,
                                 Workspace&) const {
  Enter(batch);
  clock_.Advance(absl::Seconds(1));
  for (int i = 0; i < batch.num_sequences(); ++i) {
    const auto ids = batch.ids.subspan(batch.offsets[i], batch.length(i));
    if (ids[0] == kThrowingId) throw std::runtime_error("an internal name");
    if (ids[0] == kOutOfMemoryId) throw std::bad_alloc();
    if (ids[0] == kFailingId) return absl::InvalidArgumentError("scripted failure");
    plan.non_finite[i] = ids[0] == kNonFiniteId;
    auto value = static_cast<float>(std::accumulate(ids.begin(), ids.end(), 0u));
    if (!batch.type_ids.empty()) {
      const auto types = batch.type_ids.subspan(batch.offsets[i], batch.length(i));
      value += 1000.0f * static_cast<float>(std::accumulate(types.begin(), types.end(), 0u));
    }
    for (uint32_t slot = plan.offsets[i]; slot < plan.offsets[i + 1]; ++slot) {
      std::memcpy(plan.slots[slot].destination, &value, sizeof(value));
    }
  }
  return absl::OkStatus();
}

void ScriptedEngine::Enter(const PackedBatch& batch) const {
  Batch sequences;
  for (int i = 0; i < batch.num_sequences(); ++i) {
    const auto ids = batch.ids.subspan(batch.offsets[i], batch.length(i));
    sequences.emplace_back(ids.begin(), ids.end());
  }
  char name[16] = "";
  pthread_getname_np(pthread_self(), name, sizeof(name));
  absl::MutexLock lock(&mutex_);
  batches_.push_back(std::move(sequences));
  thread_names_.push_back(name);
  any_type_ids_ |= !batch.type_ids.empty();
  extras_ = {{batch.positions.begin(), batch.positions.end()},
             {batch.target_ids.begin(), batch.target_ids.end()},
             {batch.target_offsets.begin(), batch.target_offsets.end()}};
  ++paused_runs_;
  mutex_.Await(absl::Condition(
      +[](bool* paused) { return !*paused; }, &paused_));
  --paused_runs_;
}

void ScriptedEngine::Pause() {
  absl::MutexLock lock(&mutex_);
  paused_ = true;
}

void ScriptedEngine::Resume() {
  absl::MutexLock lock(&mutex_);
  paused_ = false;
}

void ScriptedEngine::AwaitPausedRuns(int count) const {
  absl::MutexLock lock(&mutex_);
  const auto waiting = [this, count]()
                           ABSL_NO_THREAD_SAFETY_ANALYSIS { return paused_runs_ == count; };
  mutex_.Await(absl::Condition(&waiting));
}

std::vector<ScriptedEngine::Batch> ScriptedEngine::batches() const {
  absl::MutexLock lock(&mutex_);
  return batches_;
}

std::vector<std::string> ScriptedEngine::thread_names() const {
  absl::MutexLock lock(&mutex_);
  return thread_names_;
}

ScriptedEngine::Extras ScriptedEngine::extras() const {
  absl::MutexLock lock(&mutex_);
  return extras_;
}

bool ScriptedEngine::any_type_ids() const {
  absl::MutexLock lock(&mutex_);
  return any_type_ids_;
}

Task TaskProbe::MakeTask(std::vector<uint32_t> ids) {
  Task task;
  task.ids = std::move(ids);
  task.outputs = {{.spec = {.dimensions = 1}, .destination = reinterpret_cast<char*>(&output_)}};
  task.done = [this](absl::Status status, const TaskReport& report) {
    OnDone(std::move(status), report);
  };
  return task;
}

void TaskProbe::OnDone(absl::Status status, const TaskReport& report) {
  absl::MutexLock lock(&mutex_);
  ++answers_;
  answer_ = {.status = std::move(status), .report = report, .value = output_};
}

TaskProbe::Answer TaskProbe::Await() const {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](const int* answers) { return *answers > 0; }, &answers_));
  return answer_;
}

int TaskProbe::answers() const {
  absl::MutexLock lock(&mutex_);
  return answers_;
}

std::shared_ptr<ModelGeneration> GenerationOf(const Engine& engine, int num_workers,
                                              absl::Span<const CostSample> samples) {
  return std::make_shared<ModelGeneration>(
      std::shared_ptr<const Engine>(std::shared_ptr<void>(), &engine), num_workers,
      CostModel(samples));
}

std::vector<Task> Alone(Task task) {
  std::vector<Task> tasks;
  tasks.push_back(std::move(task));
  return tasks;
}

}  // namespace contexture::test_support
