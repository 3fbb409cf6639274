#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/load_plan.h"
#include "client/cli/load_recorder.h"
#include "client/encoder_client.h"

namespace contexture::cli {

// One load: a fixed rate, or a fixed number of calls.
struct LoadStep {
  // Requests a second, whatever the server does (open loop). 0: closed loop, in which the next
  // request is due when a call is free, so that a slow server is asked less.
  double rate = 0;
  Arrivals arrivals = Arrivals::kPoisson;
  // Closed loop: calls at a time. Open loop: the most at a time; requests that are due beyond
  // wait here, which their latency includes.
  int max_in_flight = 1;
  // From the due time. Infinite: none is sent but the client's timeout, which ends calls.
  absl::Duration deadline = absl::InfiniteDuration();
  absl::Duration warm_up = absl::Seconds(2);
  absl::Duration duration = absl::Seconds(10);  // measured, after the warm-up
  Leavers leavers = {};
  std::vector<TrafficClass> classes = {TrafficClass{}};
  std::string tenant = "";  // metadata contexture-tenant; empty: none
  uint64_t seed = 1;
};

struct LoadStepResult {
  LoadRecorder recorder;
  // CPU time of this process in the measured time: on one machine it is taken from the server.
  absl::Duration generator_cpu = absl::ZeroDuration();
};

// Sends requests to a server and measures how they go. One thread sends, one cancels; gRPC's own
// take the answers. Several servers are called in turn. Not thread safe.
class LoadGenerator {
 public:
  // `connections` HTTP/2 connections to each server, used in turn. With `retries` calls that no
  // server took are sent again, as EncoderClient does. UNAVAILABLE: one cannot be made within the
  // timeout of `options`.
  static absl::StatusOr<LoadGenerator> Connect(const client::ClientOptions& options,
                                               int connections, bool retries);

  // Runs one load to its end, and until the last answer. `requests` is not empty.
  LoadStepResult Run(const LoadStep& step, const std::vector<PlannedRequest>& requests);

 private:
  using Stubs = std::vector<std::unique_ptr<v1::EncoderService::Stub>>;
  LoadGenerator(absl::Duration timeout, bool retries, Stubs stubs);

  absl::Duration timeout_;
  bool retries_;
  Stubs stubs_;
};

}  // namespace contexture::cli
