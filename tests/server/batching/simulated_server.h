#pragma once

#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <vector>

#include "server/batching/scheduler.h"

namespace contexture::test_support {

// A server in simulated time: the real Scheduler, workers whose batches take what a formula says,
// and callers who arrive when told. Nothing runs but arithmetic, so an hour of load takes seconds.
class SimulatedServer {
 public:
  struct Options {
    int workers = 2;
    int max_batch_tokens = 512;
    QueueOptions queue = {};
    absl::Duration target_p99 = absl::ZeroDuration();
    // A batch takes fixed + tokens * per_token + squares * per_square, times 1 +- noise.
    double fixed_seconds = 2e-3, seconds_per_token = 20e-6, seconds_per_square = 20e-9;
    double noise = 0.05;
  };
  struct Request {
    absl::Duration arrival = absl::ZeroDuration();
    absl::Duration timeout = absl::InfiniteDuration();
    std::vector<int> lengths = {};  // of its inputs
    TrafficClass traffic_class = TrafficClass::kInteractive;
    uint16_t tenant = 0;
    absl::Duration leaves_after = absl::InfiniteDuration();
  };
  struct Outcome {
    Request request;
    absl::Status status = {};                    // of admission, or of its last task
    absl::Duration done = absl::ZeroDuration();  // when it was answered
    int computed = 0;                            // inputs
    absl::Duration latency() const { return done - request.arrival; }
    absl::Duration lateness() const { return latency() - request.timeout; }
  };

  explicit SimulatedServer(const Options& options);

  // Lives through all REQUESTS, which are in order of arrival, until each is answered.
  std::vector<Outcome> Run(const std::vector<Request>& requests);

  // What the machine can do with sequences of LENGTH in full batches.
  double TokensPerSecond(int length) const;
  int64_t computed_tokens(TrafficClass traffic_class) const {
    return computed_[static_cast<size_t>(traffic_class)];
  }
  int64_t most_waiting_tokens() const { return most_waiting_; }
  int64_t largest_batch() const { return largest_batch_; }

 private:
  struct Event {
    absl::Duration time;
    uint64_t order;
    std::function<void()> happen;
    bool operator<(const Event& other) const {  // the greatest comes first
      return time != other.time ? time > other.time : order > other.order;
    }
  };
  void At(absl::Duration time, std::function<void()> happen) {
    events_.push({time, next_event_++, std::move(happen)});
  }
  void Arrive(const Request& request, Outcome& outcome);
  void Answer(std::vector<QueuedTask>& tasks, const absl::Status& status);
  void Dispatch();
  bool Compute(int worker);  // false: there was nothing
  double Seconds(const BatchSize& size) const;

  std::vector<CostSample> MeasureAtStart() const;

  const Options options_;
  const std::shared_ptr<ModelGeneration> model_;
  Scheduler scheduler_;
  std::mt19937 random_{99};
  absl::Duration now_ = absl::ZeroDuration();
  std::priority_queue<Event> events_;
  uint64_t next_event_ = 0;
  std::vector<bool> busy_;
  std::array<int64_t, kNumTrafficClasses> computed_ = {};
  int64_t most_waiting_ = 0, largest_batch_ = 0;
};

}  // namespace contexture::test_support
