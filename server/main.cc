#include "absl/synchronization/mutex.h"
#include "server/run_server.h"
#include "server/signals.h"

int main(int argc, char** argv) {
  // Debian builds Abseil without NDEBUG: each lock of each mutex, gRPC's included, would be entered
  // into a graph of locks behind one global lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  contexture::BlockSignals();  // before any thread exists
  return contexture::RunServer(argc, argv);
}
