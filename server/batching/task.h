#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/engine/engine.h"
#include "server/batching/model_generation.h"
#include "server/tracing/tracer.h"

namespace contexture {

// How urgent work is: requests that someone waits for, or those that may take their time. Each
// class has its share of the machine when both want it (server/batching/task_queue.h).
enum class TrafficClass : uint8_t { kInteractive, kBulk };
inline constexpr int kNumTrafficClasses = 2;

// What a task's computation took; zero where it was never computed.
struct TaskReport {
  absl::Duration queue_time = absl::ZeroDuration();    // from Schedule to `start`
  absl::Duration start = absl::ZeroDuration();         // of its batch, on Clock
  absl::Duration compute_time = absl::ZeroDuration();  // of its whole batch
  int batch_sequences = 0;
  int batch_tokens = 0;
  bool cached = false;     // not computed for this task: see NewSharingBatcher
  bool joined = false;     // of those: it waited for the computation of an equal task
  SpanContext batch = {};  // the span of its batch, where a call in it is traced
};

// Tenants share a class of the queue by slots that their names are hashed to (stochastic fairness
// queueing, McKenney 1990), so that no caller can make the server remember names. Two tenants in
// one slot share as one.
inline constexpr int kTenantSlots = 256;
// 0 for the empty name, which shares with no other. Differs from process to process.
uint16_t TenantSlot(absl::string_view name);

// One sequence to compute, or another piece of work for a worker. The slots' destinations must stay
// valid until `done` has been called.
struct Task {
  // What computes it. Not null but in tests of the queue alone.
  std::shared_ptr<ModelGeneration> model;
  std::vector<uint32_t> ids;        // 1 .. model's max_length, each checked by the caller
  std::vector<uint32_t> type_ids;   // empty or as long as ids
  std::vector<uint32_t> positions;  // empty or as long as ids; see PackedBatch
  // Of the first ids, which are attended to; 0: all. See PackedBatch.
  uint32_t attended = 0;
  std::vector<uint32_t> target_ids;  // of a model with a decoder, whose vectors are the result
  std::vector<OutputSlot> outputs;
  // Instead of all above: work that shares no batch. Called once, on a worker, with that
  // worker's workspace; its status is what `done` gets. Queued and admitted as `work_tokens`
  // tokens.
  absl::AnyInvocable<absl::Status(const Engine&, Workspace&) &&> work;
  int64_t work_tokens = 0;
  // The results may be those of an equal task. What makes tasks equal is ResultKey
  // (server/batching/result_cache.h), to which whoever adds a field that changes results adds it.
  bool shareable = false;
  // Of a request that was admitted: it takes the place of an equal task that has left the queue, or
  // goes on with what tasks of the request began, and is not refused for load or for a drain.
  bool takes_place = false;
  // Since when its request waits, on Clock, where that is longer than the task does: ageing counts
  // from then (QueueOptions::ageing).
  absl::Duration waits_since = absl::InfiniteDuration();
  absl::Duration deadline = absl::InfiniteDuration();  // on Clock; past it the task is dropped
  // Until it begins, as it was predicted when it was admitted; set by the Scheduler.
  absl::Duration predicted_wait = absl::ZeroDuration();
  TrafficClass traffic_class = TrafficClass::kInteractive;
  uint16_t tenant = 0;  // below kTenantSlots; see TenantSlot
  // Set by whoever no longer wants the result (a cancelled call); may be null. Its address names
  // the caller to Batcher::Forget.
  std::shared_ptr<const std::atomic<bool>> cancelled;
  // Of the call that the task belongs to; null: not sampled.
  std::shared_ptr<CallTrace> trace;
  // Called exactly once, from a worker or lifecycle thread; must not block. OK, or:
  // DEADLINE_EXCEEDED expired in the queue, CANCELLED, INTERNAL the computation failed or is not
  // finite, UNAVAILABLE the batcher was destroyed first, or the status of `work`.
  absl::AnyInvocable<void(absl::Status, const TaskReport&) &&> done;

  // What the task costs, for limits and batches.
  int64_t tokens() const {
    return work ? work_tokens : static_cast<int64_t>(ids.size() + target_ids.size());
  }
  // Tokens that have vectors.
  int output_length() const {
    return static_cast<int>(target_ids.empty() ? ids.size() : target_ids.size());
  }
};

}  // namespace contexture
