// The promises of docs/scheduling.md, in simulated worlds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/server/batching/simulated_server.h"

namespace contexture {
namespace {

using test_support::SimulatedServer;
using Request = SimulatedServer::Request;
using Outcome = SimulatedServer::Outcome;

// Poisson arrivals of requests like PATTERN with one input of 8 .. 64 tokens.
struct Load {
  double tokens_per_second = 0;
  absl::Duration from = absl::ZeroDuration(), until = absl::Seconds(10);
  Request pattern = {};
};

constexpr double kMeanTokens = 36;  // of 8 .. 64

void AddLoad(const Load& load, std::mt19937& random, std::vector<Request>& requests) {
  std::exponential_distribution<double> gap(load.tokens_per_second / kMeanTokens);
  for (absl::Duration time = load.from;;) {
    time += absl::Seconds(gap(random));
    if (time >= load.until) break;
    Request request = load.pattern;
    request.arrival = time;
    request.lengths = {static_cast<int>(8 + random() % 57)};
    requests.push_back(request);
  }
}

std::vector<Request> Requests(const std::vector<Load>& loads, int seed = 1) {
  std::mt19937 random(seed);
  std::vector<Request> requests;
  for (const Load& load : loads) AddLoad(load, random, requests);
  std::stable_sort(requests.begin(), requests.end(),
                   [](const Request& a, const Request& b) { return a.arrival < b.arrival; });
  return requests;
}

absl::Duration Quantile(std::vector<absl::Duration> values, double quantile) {
  std::sort(values.begin(), values.end());
  return values.at(static_cast<size_t>(quantile * static_cast<double>(values.size() - 1)));
}

// Latencies of the requests of a class that were answered well.
std::vector<absl::Duration> Latencies(const std::vector<Outcome>& outcomes,
                                      TrafficClass traffic_class) {
  std::vector<absl::Duration> latencies;
  for (const Outcome& outcome : outcomes) {
    if (outcome.status.ok() && outcome.request.traffic_class == traffic_class) {
      latencies.push_back(outcome.latency());
    }
  }
  return latencies;
}

constexpr Request kWithin200Ms = {.timeout = absl::Milliseconds(200)};

TEST(SimulationTest, OverloadWithDeadlinesKeepsTheMachineBusyWithWorkThatIsInTime) {
  SimulatedServer server({});
  const double capacity = server.TokensPerSecond(36);
  const auto outcomes =
      server.Run(Requests({{.tokens_per_second = 3 * capacity, .pattern = kWithin200Ms}}));
  double good_tokens = 0;
  int late = 0, admitted = 0, expired = 0;
  for (const Outcome& outcome : outcomes) {
    if (outcome.status.code() == absl::StatusCode::kResourceExhausted) continue;
    ++admitted;
    if (outcome.status.code() == absl::StatusCode::kDeadlineExceeded) ++expired;
    if (outcome.lateness() > absl::Milliseconds(10)) ++late;
    if (outcome.status.ok() && outcome.lateness() <= absl::ZeroDuration()) {
      good_tokens += outcome.request.lengths[0];
    }
  }
  EXPECT_GE(good_tokens / 10, 0.9 * capacity);
  EXPECT_EQ(late, 0) << "of " << admitted << " by more than 5 %";
  EXPECT_LE(expired, admitted / 100) << "computed for nobody, or waited for nothing";
}

TEST(SimulationTest, HardlyAnythingAdmittedExpires) {
  SimulatedServer server({.noise = 0.2});
  const double capacity = server.TokensPerSecond(36);
  const auto outcomes = server.Run(
      Requests({{.tokens_per_second = 1.5 * capacity, .pattern = kWithin200Ms},
                {.tokens_per_second = capacity, .pattern = {.timeout = absl::Seconds(2)}}}));
  int expired = 0, good = 0;
  for (const Outcome& outcome : outcomes) {
    expired += outcome.status.code() == absl::StatusCode::kDeadlineExceeded;
    good += outcome.status.ok();
  }
  EXPECT_LE(expired, good / 100);
}

TEST(SimulationTest, OverloadWithoutDeadlinesIsBoundedAndOverSoonAfterItEnds) {
  const int64_t most = 20000;
  SimulatedServer server({.queue = {.max_tokens = most}});
  const double capacity = server.TokensPerSecond(36);
  const auto outcomes =
      server.Run(Requests({{.tokens_per_second = 3 * capacity, .until = absl::Seconds(5)},
                           {.tokens_per_second = 0.3 * capacity, .from = absl::Seconds(5)}}));
  EXPECT_LE(server.most_waiting_tokens(), most);
  for (const Outcome& outcome : outcomes) {
    if (outcome.request.arrival < absl::Seconds(6)) continue;
    ASSERT_TRUE(outcome.status.ok());
    EXPECT_LT(outcome.latency(), absl::Milliseconds(30));
  }
}

TEST(SimulationTest, InteractiveRequestsHardlyNoticeSaturatingBulkWork) {
  const auto interactive = [](double capacity) {
    return Load{.tokens_per_second = 0.1 * capacity};
  };
  SimulatedServer alone({}), beside({});
  const double capacity = alone.TokensPerSecond(36);
  const auto p99 = [](const std::vector<Outcome>& outcomes) {
    return Quantile(Latencies(outcomes, TrafficClass::kInteractive), 0.99);
  };
  const absl::Duration alone_p99 = p99(alone.Run(Requests({interactive(capacity)})));
  const auto outcomes = beside.Run(Requests(
      {interactive(capacity),
       {.tokens_per_second = 2 * capacity, .pattern = {.traffic_class = TrafficClass::kBulk}}}));
  const absl::Duration batch = absl::Seconds(2 * 512 / capacity);
  EXPECT_LE(p99(outcomes), 2 * alone_p99 + batch)
      << "alone " << alone_p99 << ", a batch takes " << batch;
  EXPECT_GT(static_cast<double>(beside.computed_tokens(TrafficClass::kBulk)) / 10, 0.5 * capacity);
}

TEST(SimulationTest, TargetIsMetByBatchesNoSmallerThanItNeeds) {
  const absl::Duration target = absl::Milliseconds(9);
  const auto run = [](absl::Duration target_p99, double& bulk_per_second) {
    SimulatedServer server({.target_p99 = target_p99});
    const double capacity = server.TokensPerSecond(36);
    auto outcomes =
        server.Run(Requests({{.tokens_per_second = 0.1 * capacity, .until = absl::Seconds(40)},
                             {.tokens_per_second = 2 * capacity,
                              .until = absl::Seconds(40),
                              .pattern = {.traffic_class = TrafficClass::kBulk}}}));
    bulk_per_second = static_cast<double>(server.computed_tokens(TrafficClass::kBulk)) / 40;
    // After the controller has found its size.
    std::erase_if(outcomes, [](const Outcome& outcome) {
      return outcome.request.arrival < absl::Seconds(10);
    });
    return Quantile(Latencies(outcomes, TrafficClass::kInteractive), 0.99);
  };
  double bulk = 0, bulk_with_target = 0;
  EXPECT_GT(run(absl::ZeroDuration(), bulk), target);
  EXPECT_LE(run(target, bulk_with_target), target * 1.1);
  EXPECT_GT(bulk_with_target, 0.6 * bulk);
}

TEST(SimulationTest, BulkWorkKeepsItsShareBesideSaturatingInteractiveWork) {
  SimulatedServer server({});
  const double capacity = server.TokensPerSecond(36);
  server.Run(Requests(
      {{.tokens_per_second = 3 * capacity, .pattern = kWithin200Ms},
       {.tokens_per_second = 2 * capacity, .pattern = {.traffic_class = TrafficClass::kBulk}}}));
  const auto bulk = static_cast<double>(server.computed_tokens(TrafficClass::kBulk));
  const auto all = bulk + static_cast<double>(server.computed_tokens(TrafficClass::kInteractive));
  EXPECT_GT(bulk / all, 0.18);
}

TEST(SimulationTest, GreedyTenantTakesNothingFromAModestOne) {
  SimulatedServer server({});
  const double capacity = server.TokensPerSecond(36);
  const auto outcomes = server.Run(Requests(
      {{.tokens_per_second = 5 * capacity, .pattern = {.timeout = absl::Seconds(1), .tenant = 1}},
       {.tokens_per_second = 0.3 * capacity,
        .pattern = {.timeout = absl::Milliseconds(200), .tenant = 2}}}));
  for (const Outcome& outcome : outcomes) {
    if (outcome.request.tenant != 2) continue;
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_LT(outcome.latency(), absl::Milliseconds(100));
  }
}

TEST(SimulationTest, NothingIsComputedForCallersWhoLeftBefore) {
  SimulatedServer server({});
  const double capacity = server.TokensPerSecond(36);
  Request leaving = {.timeout = absl::Seconds(5), .leaves_after = absl::Milliseconds(3)};
  const auto outcomes = server.Run(
      Requests({{.tokens_per_second = 0.9 * capacity, .pattern = {.timeout = absl::Seconds(5)}},
                {.tokens_per_second = 0.9 * capacity, .pattern = leaving}}));
  int computed_after_leaving = 0;
  for (const Outcome& outcome : outcomes) {
    if (outcome.request.leaves_after < absl::InfiniteDuration()) {
      if (outcome.status.code() == absl::StatusCode::kCancelled) {
        computed_after_leaving += outcome.computed;
        EXPECT_EQ(outcome.latency(), absl::Milliseconds(3)) << "his place was not free at once";
      }
    } else {
      EXPECT_TRUE(outcome.status.ok()) << outcome.status;
    }
  }
  EXPECT_EQ(computed_after_leaving, 0);
}

// Worlds of all kinds: whatever arrives, everything admitted is answered, bounds hold, and nothing
// waits for ever.
TEST(SimulationTest, PromisesHoldInRandomWorlds) {
  for (int seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    SimulatedServer server({.workers = static_cast<int>(1 + random() % 4),
                            .max_batch_tokens = 64 << random() % 4,
                            .queue = {.max_tokens = 30000, .ageing = absl::Seconds(1)},
                            .noise = 0.1});
    std::vector<Load> loads;
    for (uint32_t i = 0; i < 1 + random() % 5; ++i) {
      Request pattern = {.tenant = static_cast<uint16_t>(random() % 4)};
      if (random() % 2 == 0) pattern.timeout = absl::Milliseconds(20 + random() % 3000);
      if (random() % 3 == 0) pattern.traffic_class = TrafficClass::kBulk;
      if (random() % 3 == 0) pattern.leaves_after = absl::Milliseconds(random() % 500);
      const double part = 0.1 + static_cast<double>(random() % 20) / 10;
      loads.push_back({.tokens_per_second = part * server.TokensPerSecond(36),
                       .from = absl::Milliseconds(random() % 2000),
                       .until = absl::Seconds(2 + random() % 3),
                       .pattern = pattern});
    }
    const auto outcomes = server.Run(Requests(loads, seed));
    absl::Duration longest = absl::ZeroDuration();
    for (const Outcome& outcome : outcomes) {
      const bool refused = outcome.status.code() == absl::StatusCode::kResourceExhausted;
      if (!refused) longest = std::max(longest, outcome.latency());
      if (outcome.status.ok()) {
        ASSERT_EQ(outcome.computed, 1) << "in world " << seed;
      } else {
        ASSERT_EQ(outcome.computed, 0) << "in world " << seed;
      }
    }
    EXPECT_LE(server.most_waiting_tokens(), 30000 + 64) << "in world " << seed;
    EXPECT_LE(server.largest_batch(), 64 << 3);
    // All that can ever wait, of both classes, at the lowest share of 20 percent.
    const double most = 5 * 30000 / server.TokensPerSecond(36) + 1;
    EXPECT_LE(longest, absl::Seconds(most)) << "in world " << seed;
  }
}

}  // namespace
}  // namespace contexture
