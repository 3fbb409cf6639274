#include "server/lifecycle.h"

#include "absl/strings/str_cat.h"

namespace contexture {

const char* Name(ServerState state) {
  switch (state) {
    case ServerState::kStarting:
      return "starting";
    case ServerState::kServing:
      return "serving";
    case ServerState::kDraining:
      return "draining";
    case ServerState::kStopped:
      return "stopped";
  }
  return "?";
}

bool IsValidTransition(ServerState from, ServerState to) {
  switch (from) {
    case ServerState::kStarting:
      return to == ServerState::kServing || to == ServerState::kStopped;
    case ServerState::kServing:
      return to == ServerState::kDraining;
    case ServerState::kDraining:
      return to == ServerState::kStopped;
    case ServerState::kStopped:
      return false;
  }
  return false;
}

absl::Status Lifecycle::Transition(ServerState to) {
  absl::MutexLock lock(&mutex_);
  if (!IsValidTransition(state_, to)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the server is ", Name(state_), " and cannot become ", Name(to)));
  }
  state_ = to;
  return absl::OkStatus();
}

void Lifecycle::RequestStop() {
  absl::MutexLock lock(&mutex_);
  stop_requested_ = true;
  if (state_ == ServerState::kStarting) state_ = ServerState::kStopped;
}

void Lifecycle::WaitForStopRequest() const {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&stop_requested_));
}

}  // namespace contexture
