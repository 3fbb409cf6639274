// Two servers behind one client that retries: each is ended by SIGTERM under load in turn and comes
// back, and no request is lost.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/encoder_client.h"
#include "tests/integration/encode_call.h"
#include "tests/integration/probes.h"
#include "tests/integration/rounds.h"
#include "tests/integration/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::FreePort;
using test_support::HttpGet;
using test_support::IdsRequest;
using test_support::IsOk;
using test_support::MetricSum;
using test_support::Rounds;
using test_support::ServerProcess;
using test_support::TemporaryDirectory;
using test_support::WriteTinyBert;

constexpr int kClients = 16;
constexpr absl::Duration kPatience = absl::Seconds(60);

double Answered(const ServerProcess& server) {
  const auto metrics = HttpGet(server.metrics_port(), "/metrics");
  return metrics.ok() ? MetricSum(*metrics, "contexture_requests_total").value_or(0) : 0;
}

TEST(RollingRestartTest, NoRequestIsLostWhileServersAreTerminatedInTurn) {
  const TemporaryDirectory model;
  ASSERT_THAT(WriteTinyBert(model.path()), IsOk());
  const std::array<int, 2> ports = {FreePort(), FreePort()};
  std::array<std::unique_ptr<ServerProcess>, 2> servers;
  for (int i = 0; i < 2; ++i) {
    servers[i] = ServerProcess::Serve(model.path(), {"--threads=1"}, ports[i]);
  }
  for (const auto& server : servers) ASSERT_THAT(server->WaitUntilServing(), IsOk());
  client::EncoderClient client(
      {.target = absl::StrCat("ipv4:127.0.0.1:", ports[0], ",127.0.0.1:", ports[1]),
       .timeout = kPatience});
  std::atomic<bool> stop{false};
  std::atomic<int> answered{0}, lost{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < kClients; ++c) {
    callers.emplace_back([&] {
      while (!stop) {
        const auto response = client.Encode(IdsRequest({{2, 5, 6, 3}, {2, 57, 58, 3}}));
        ++(response.ok() ? answered : lost);
        if (!response.ok())
          std::fprintf(stderr, "lost: %s\n", response.status().ToString().c_str());
      }
    });
  }
  const int rounds = Rounds();
  for (int round = 0; round < rounds; ++round) {
    auto& server = servers[round % 2];
    // It has work: the client has found it, again after the round before the last.
    const absl::Time end = absl::Now() + kPatience;
    while (Answered(*server) < 100 && absl::Now() < end) absl::SleepFor(absl::Milliseconds(10));
    ASSERT_GE(Answered(*server), 100) << server->standard_error();
    server->Signal(SIGTERM);
    EXPECT_EQ(server->WaitForExit(kPatience), 0) << server->standard_error();
    server = ServerProcess::Serve(model.path(), {"--threads=1"}, ports[round % 2]);
    ASSERT_THAT(server->WaitUntilServing(), IsOk());
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  std::printf("%d servers terminated, %d requests answered, %d lost\n", rounds, answered.load(),
              lost.load());
  EXPECT_EQ(lost, 0);
  EXPECT_GE(answered, 100 * rounds);
}

}  // namespace
}  // namespace contexture
