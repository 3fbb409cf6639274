#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace contexture {

// Valid transitions: starting -> serving -> draining -> stopped, and starting -> stopped (nothing
// was admitted yet, so there is nothing to drain).
enum class ServerState { kStarting, kServing, kDraining, kStopped };

const char* Name(ServerState state);
bool IsValidTransition(ServerState from, ServerState to);

// The state of the process and the wish to end it. Thread safe.
class Lifecycle {
 public:
  ServerState state() const {
    absl::MutexLock lock(&mutex_);
    return state_;
  }

  // FAILED_PRECONDITION: not a valid transition; the state stays.
  absl::Status Transition(ServerState to);

  // Asks for the end; the first time from kStarting it is granted at once, and the state is
  // kStopped.
  void RequestStop();
  // Blocks until RequestStop was called.
  void WaitForStopRequest() const;

 private:
  mutable absl::Mutex mutex_;
  ServerState state_ ABSL_GUARDED_BY(mutex_) = ServerState::kStarting;
  bool stop_requested_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace contexture
