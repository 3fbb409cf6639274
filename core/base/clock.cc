#include "core/base/clock.h"

#include <chrono>

namespace contexture {
namespace {

class SteadyClock : public Clock {
 public:
  absl::Duration Now() const override {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
};

}  // namespace

const Clock& Clock::Steady() {
  static const SteadyClock* clock = new SteadyClock;
  return *clock;
}

}  // namespace contexture
