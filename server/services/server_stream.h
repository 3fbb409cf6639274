#pragma once

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace contexture {

// The part that all streaming reactors of this server share: one thread at a time starts the next
// operation, without a lock held, and nothing is started after Finish. A reaction changes the state
// under `mutex_` and calls Pump. Thread safe.
class ServerStream {
 public:
  virtual ~ServerStream() = default;
  // Ends the stream soon, after what it still owes; called by the drain. Never blocks.
  virtual void Stop() = 0;
  // What the stream waited for may have come. Never blocks.
  virtual void Wake() { Pump(); }

 protected:
  enum class Action { kNone, kRead, kWrite, kFinish };

  // What to start next; marks it as started. kFinish at most once.
  virtual Action NextAction() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  virtual void Start(Action action) = 0;

  // The reactor may be gone when this returns, unless the caller is one of its reactions.
  void Pump() {
    {
      absl::MutexLock lock(&mutex_);
      if (pumping_) return;  // whoever pumps sees the new state in its next round
      pumping_ = true;
    }
    while (true) {
      Action action = Action::kNone;
      {
        absl::MutexLock lock(&mutex_);
        action = NextAction();
        if (action == Action::kNone) pumping_ = false;
      }
      if (action == Action::kNone) return;
      Start(action);
      if (action == Action::kFinish) return;  // still pumping: nothing may start any more
    }
  }

  absl::Mutex mutex_;

 private:
  bool pumping_ ABSL_GUARDED_BY(mutex_) = false;
};

// The streams that are open, so that a drain can end them. Thread safe.
class OpenStreams {
 public:
  // False: StopAll was called before, the stream is not kept and should end itself.
  bool Add(const std::shared_ptr<ServerStream>& stream) {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return false;
    if (streams_.size() >= prune_at_) Prune();
    streams_.push_back(stream);
    return true;
  }

  void StopAll() {
    std::vector<std::weak_ptr<ServerStream>> streams;
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
      streams.swap(streams_);
    }
    for (const auto& weak : streams) {
      if (auto stream = weak.lock()) stream->Stop();
    }
  }

 private:
  void Prune() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::erase_if(streams_, [](const auto& weak) { return weak.expired(); });
    prune_at_ = 2 * streams_.size() + 16;
  }

  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  size_t prune_at_ ABSL_GUARDED_BY(mutex_) = 16;
  std::vector<std::weak_ptr<ServerStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace contexture
