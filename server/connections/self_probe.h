#pragma once

#include <functional>
#include <thread>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace contexture {

// Probes again and again, on a thread of its own, and says when what it probes is dead or alive
// again: a listener whose process lives may accept nothing, which only a connection finds out.
class SelfProbe {
 public:
  struct Options {
    absl::Duration interval = absl::Seconds(5);  // between two probes
    int max_failures = 3;                        // in a row until it counts as dead
    // Probes once; may block. RESOURCE_EXHAUSTED tells nothing: it neither fails nor succeeds.
    std::function<absl::Status()> probe;
    // Called after each probe that fails, with its reason.
    std::function<void(const absl::Status&)> failed;
    // Called when it becomes dead, with the last failure's reason, and with OK when it is alive
    // again.
    std::function<void(const absl::Status&)> changed;
  };

  explicit SelfProbe(Options options);
  ~SelfProbe();  // waits for a probe under way
  SelfProbe(const SelfProbe&) = delete;
  SelfProbe& operator=(const SelfProbe&) = delete;

 private:
  void ProbeOnce();

  const Options options_;
  int failures_ = 0;  // in a row
  bool alive_ = true;
  absl::Notification end_;
  std::thread thread_;  // last: starts when all is there
};

}  // namespace contexture
