#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/base/clock.h"
#include "server/batching/batcher_metrics.h"
#include "server/batching/cost_model.h"
#include "server/batching/task_queue.h"

namespace contexture {

// Computes one batch after the other and answers its tasks: what a worker thread has. Allocates at
// construction, and later only for a task longer than max_batch_tokens or a batch with more outputs
// than max_batch_tokens. Not thread safe.
class BatchRunner {
 public:
  struct Context {
    const Clock& clock;
    BatcherMetrics& metrics;
    Tracer* tracer = nullptr;  // null: off
  };
  // WORKER: which of a model's workspaces is its own.
  BatchRunner(const Context& context, int worker, int max_batch_tokens);

  // Calls `done` of all TASKS, which are of one model, and leaves none. A task whose result is not
  // finite fails alone with INTERNAL. When the engine fails on a batch of several, each task is
  // computed once more, alone, so that only the culprits fail. Tasks with work of their own come
  // after the sequences, one by one. Helpers of TEAM, which this worker leads, share the sequences;
  // it is closed when these are computed. Null: alone. Returns what teaches the cost model: nothing
  // when there was no batch of sequences, when it was computed more than once, or when anybody
  // helped.
  CostSample Run(std::vector<QueuedTask>& tasks, Team* team = nullptr);

 private:
  CostSample RunSequences(absl::Span<QueuedTask> tasks);
  // Closes the team, if there is one. Returns whether anybody helped.
  bool DismissTeam();
  // Counts the batch; TASKS are still unanswered.
  void Record(absl::Span<const QueuedTask> tasks, const BatchRecord& batch);
  // The span of a batch that began at START, linked to the calls in it that are traced. Zero: none
  // is.
  SpanContext Trace(absl::Span<const QueuedTask> tasks, const BatchRecord& batch,
                    absl::Duration start) const;
  void RunWork(QueuedTask& task);
  void Assemble(absl::Span<const QueuedTask> tasks);
  // Sets STATUSES, one for each task. Returns whether the engine succeeded.
  bool Compute(absl::Span<const QueuedTask> tasks, absl::Span<absl::Status> statuses);
  absl::Status RunEngine(const ModelGeneration& model);

  const Context context_;
  const int worker_;
  Team* team_ = nullptr;  // of the batch
  // The batch and its outputs; see PackedBatch and OutputPlan.
  std::vector<uint32_t> ids_;
  std::vector<uint32_t> type_ids_;
  std::vector<uint32_t> positions_;
  std::vector<uint32_t> attended_;
  std::vector<uint32_t> offsets_;
  std::vector<uint32_t> target_ids_;
  std::vector<uint32_t> target_offsets_;
  std::vector<OutputSlot> slots_;
  std::vector<uint32_t> slot_offsets_;
  std::vector<uint8_t> non_finite_;
  std::vector<absl::Status> statuses_;
};

}  // namespace contexture
