#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "server/batching/batcher.h"
#include "server/metrics/registry.h"
#include "server/services/load_reporter.h"
#include "server/services/memory_budget.h"
#include "server/services/model_registry.h"
#include "server/services/served_model.h"
#include "server/services/stream_gate.h"
#include "server/services/tokenizer_pool.h"

namespace contexture {

// What answers the requests for all models, once there is one. Owned by the assembly, outlives
// every call.
struct SharedBackend {
  const ModelRegistry& models;
  Batcher& batcher;
  TokenizerPool& tokenizer_pool;
  MemoryBudget& memory;
  StreamGate& gate;
  const Clock& clock;
  ServerMetrics& metrics;
  int max_inputs_per_request = 1024;
  LoadReporter* load_reporter = nullptr;  // null: calls carry no load report

  // Lets CALL_MEMORY grow by an answer of BYTES. RESOURCE_EXHAUSTED, counted for its ITEMS.
  absl::Status ReserveAnswer(int64_t bytes, int64_t items, MemoryLease& call_memory) const {
    absl::Status status = call_memory.Grow(AnswerMemory(bytes));
    if (!status.ok()) metrics.RecordRefused(RefusalReason::kMemory, items);
    return status;
  }
};

// Puts the load report into the trailer of a call that ends; nothing when reports are off.
template <typename Context>
void AddLoadReport(const SharedBackend& backend, Context& context) {
  if (backend.load_reporter == nullptr) return;
  const auto report = backend.load_reporter->Now(backend.batcher.waiting());
  context.AddTrailingMetadata(kLoadReportTrailer, report.SerializeAsString());
}

// The same for one request: with the model that it asks for, which stays the same, and alive,
// whatever is loaded meanwhile. Copied into each call.
struct Backend : SharedBackend {
  Backend(const SharedBackend& shared, std::shared_ptr<const ServedModel> chosen)
      : SharedBackend(shared), owner(std::move(chosen)), model(*owner) {}

  const std::shared_ptr<const ServedModel> owner;
  const ServedModel& model;

  // As Batcher::Schedule, to be computed with the model.
  absl::Status Schedule(std::vector<Task>& tasks) const {
    for (Task& task : tasks) task.model = model.generation;
    return batcher.Schedule(tasks);
  }
};

}  // namespace contexture
