#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/batching/task.h"
#include "server/services/server_stream.h"

namespace contexture {

// Holds back streams while the server has more than enough to do: a stream that is not read is held
// by HTTP/2 flow control, so its caller waits instead of being refused. Thread safe.
class StreamGate {
 public:
  // Whether there is too much for more work of a class; must be thread safe and not block.
  using Crowded = std::function<bool(TrafficClass)>;
  explicit StreamGate(Crowded crowded) : crowded_(std::move(crowded)) {}

  // Whether STREAM may read. When not, it is woken once it may be worth to ask again. May be called
  // under the stream's lock.
  bool Pass(TrafficClass traffic_class, const std::weak_ptr<ServerStream>& stream);
  // Something may have become less. Call it without a lock.
  void Notify();

 private:
  struct Waiter {
    TrafficClass traffic_class;
    std::weak_ptr<ServerStream> stream;
  };

  const Crowded crowded_;
  std::atomic<int> num_waiting_{0};
  absl::Mutex mutex_;
  std::vector<Waiter> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contexture
