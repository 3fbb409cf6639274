#pragma once

#include <atomic>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "grpcpp/server_context.h"
#include "server/batching/task.h"

namespace contexture {

// What a call's metadata say about who asks and how urgent it is.
struct Caller {
  TrafficClass traffic_class = TrafficClass::kInteractive;
  uint16_t tenant = 0;                         // Task::tenant
  std::shared_ptr<CallTrace> trace = nullptr;  // Task::trace
};

// The metadata keys. The class is "interactive" or "bulk"; a tenant's name is any text.
inline constexpr char kClassMetadata[] = "contexture-class";
inline constexpr char kTenantMetadata[] = "contexture-tenant";

// The first value of KEY; empty: none. Lives as long as the call.
absl::string_view MetadataOf(const grpc::ServerContextBase& context, const char* key);

// INVALID_ARGUMENT: an unknown class. Of a key that is given twice the first counts.
absl::StatusOr<Caller> CallerOf(const grpc::ServerContextBase& context);

// CANCELLED, DEADLINE_EXCEEDED: nobody waits for the answer any more. CANCELLED may be null,
// DEADLINE is on CLOCK.
absl::Status CheckStillWanted(const std::atomic<bool>* cancelled, absl::Duration deadline,
                              const Clock& clock);

// Puts CALLER into the task.
inline void SetCaller(const Caller& caller, Task& task) {
  task.traffic_class = caller.traffic_class;
  task.tenant = caller.tenant;
  task.trace = caller.trace;
}

}  // namespace contexture
