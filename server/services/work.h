#pragma once

#include <atomic>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "contexture/v1/encoder.pb.h"
#include "core/model/encoder_config.h"
#include "server/services/backend.h"
#include "server/services/caller.h"

namespace contexture {

// A unary request whose computation is one task with work of its own.
template <typename Request, typename Response>
struct WorkJob {
  const Request* request = nullptr;  // both must stay valid until `done` is called
  Response* response = nullptr;
  absl::Duration deadline = absl::InfiniteDuration();  // on the backend's clock
  std::shared_ptr<const std::atomic<bool>> cancelled;
  Caller caller;
  MemoryLease* memory = nullptr;  // grows with the answer; stays valid as long as the response
  // Called exactly once, from any thread, with the status of the request; must not block.
  absl::AnyInvocable<void(absl::Status) &&> done;
};

using WorkDone = absl::AnyInvocable<void(absl::Status) &&>;

// Queues TASK, whose `work` and `work_tokens` are set. In the end fills USAGE, which must stay
// valid until then, counts the item and calls DONE. Never blocks.
void ScheduleWork(const Backend& backend, Task task, v1::Usage& usage, WorkDone done);

// What PRODUCTS of floats cost, as tokens of the model of CONFIG; 0: less than half of one.
int64_t TokensOf(double products, const EncoderConfig& config);

// Counts the item and calls DONE: for what never becomes a task.
void EndWork(const Backend& backend, const absl::Status& status, WorkDone done);

}  // namespace contexture
