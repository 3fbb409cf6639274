#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace contexture {

// A wish to reload, as SIGHUP is one. Thread safe.
class ReloadTrigger {
 public:
  void Fire() {
    absl::MutexLock lock(&mutex_);
    fired_ = true;
  }
  void End() {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }

  // Blocks until Fire, which counts once however often it was called meanwhile, until End, or for
  // TIMEOUT.
  enum class Event { kFired, kEnded, kTimeout };
  Event Await(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(this, &ReloadTrigger::Happened), timeout);
    if (ended_) return Event::kEnded;
    if (!fired_) return Event::kTimeout;
    fired_ = false;
    return Event::kFired;
  }

 private:
  bool Happened() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return fired_ || ended_; }

  absl::Mutex mutex_;
  bool fired_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace contexture
