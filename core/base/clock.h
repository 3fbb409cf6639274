#pragma once

#include "absl/time/time.h"

namespace contexture {

// Monotonic time, injected so that tests never sleep. Thread safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Time since an arbitrary fixed point; never goes back, whatever the wall clock does.
  virtual absl::Duration Now() const = 0;

  // The steady clock of the machine; lives for ever.
  static const Clock& Steady();
};

}  // namespace contexture
