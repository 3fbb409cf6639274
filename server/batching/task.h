#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/engine/output_plan.h"

namespace contexture {

// What a task's computation took; zero where it was never computed.
struct TaskReport {
  absl::Duration queue_time = absl::ZeroDuration();    // from Schedule to the start of its batch
  absl::Duration compute_time = absl::ZeroDuration();  // of its whole batch
  int batch_sequences = 0;
  int batch_tokens = 0;
};

// One sequence to compute. The slots' destinations must stay valid until `done` has been called.
struct Task {
  std::vector<uint32_t> ids;       // 1 .. model's max_length, each checked by the caller
  std::vector<uint32_t> type_ids;  // empty or as long as ids
  std::vector<OutputSlot> outputs;
  absl::Duration deadline = absl::InfiniteDuration();  // on Clock; past it the task is dropped
  // Set by whoever no longer wants the result (a cancelled call); may be null.
  std::shared_ptr<const std::atomic<bool>> cancelled;
  // Called exactly once, from a worker or lifecycle thread; must not block. OK, or:
  // DEADLINE_EXCEEDED expired in the queue, CANCELLED, INTERNAL the computation failed or is not
  // finite, UNAVAILABLE the batcher was destroyed first.
  absl::AnyInvocable<void(absl::Status, const TaskReport&) &&> done;
};

}  // namespace contexture
