#include "server/services/stream_gate.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace contexture {

bool StreamGate::Pass(TrafficClass traffic_class, const std::weak_ptr<ServerStream>& stream) {
  if (!crowded_(traffic_class)) return true;
  absl::MutexLock lock(&mutex_);
  waiting_.push_back({traffic_class, stream});
  ++num_waiting_;
  // Asked again: what made room in between did not see this stream wait.
  if (crowded_(traffic_class)) return false;
  waiting_.pop_back();
  --num_waiting_;
  return true;
}

void StreamGate::Notify() {
  if (num_waiting_ == 0) return;
  std::vector<Waiter> woken;
  {
    absl::MutexLock lock(&mutex_);
    std::array<bool, kNumTrafficClasses> crowded;
    for (int i = 0; i < kNumTrafficClasses; ++i)
      crowded[i] = crowded_(static_cast<TrafficClass>(i));
    const auto stays = [&](const Waiter& waiter) {
      return !waiter.stream.expired() && crowded[static_cast<size_t>(waiter.traffic_class)];
    };
    const auto first = std::partition(waiting_.begin(), waiting_.end(), stays);
    woken.assign(std::make_move_iterator(first), std::make_move_iterator(waiting_.end()));
    waiting_.erase(first, waiting_.end());
    num_waiting_ = static_cast<int>(waiting_.size());
  }
  for (const Waiter& waiter : woken) {
    if (const auto stream = waiter.stream.lock()) stream->Wake();
  }
}

}  // namespace contexture
