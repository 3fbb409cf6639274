#pragma once

#include "core/base/clock.h"
#include "server/batching/batcher.h"
#include "server/metrics/registry.h"
#include "server/services/load_reporter.h"
#include "server/services/memory_budget.h"
#include "server/services/served_model.h"
#include "server/services/stream_gate.h"
#include "server/services/tokenizer_pool.h"

namespace contexture {

// Everything that answers a request once a model is loaded. Owned by the assembly, outlives every
// call.
struct Backend {
  const ServedModel& model;
  Batcher& batcher;
  TokenizerPool& tokenizer_pool;
  MemoryBudget& memory;
  StreamGate& gate;
  const Clock& clock;
  ServerMetrics& metrics;
  LoadReporter* load_reporter = nullptr;  // null: calls carry no load report

  // Lets CALL_MEMORY grow by an answer of BYTES. RESOURCE_EXHAUSTED, counted for its ITEMS.
  absl::Status ReserveAnswer(int64_t bytes, int64_t items, MemoryLease& call_memory) const {
    absl::Status status = call_memory.Grow(AnswerMemory(bytes));
    if (!status.ok()) metrics.RecordRefused(RefusalReason::kMemory, items);
    return status;
  }
};

}  // namespace contexture
