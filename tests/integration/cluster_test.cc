// Several servers behind one client that balances: calls are spread, and none is lost while servers
// are killed and drained.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/encoder_client.h"
#include "tests/integration/encode_call.h"
#include "tests/integration/probes.h"
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
using test_support::ServerProcess;
using test_support::TemporaryDirectory;
using test_support::WriteTinyBert;

constexpr int kServers = 4;
constexpr int kClients = 50;
constexpr absl::Duration kPatience = absl::Seconds(60);

class Cluster {
 public:
  Cluster() {
    EXPECT_THAT(WriteTinyBert(model_.path()), IsOk());
    for (int i = 0; i < kServers; ++i) {
      ports_[i] = FreePort();
      Start(i);
    }
    for (auto& server : servers_) EXPECT_THAT(server->WaitUntilServing(), IsOk());
  }

  // A new server at the same address; it may not serve yet.
  void Start(int i) {
    servers_[i] = ServerProcess::Serve(model_.path(), {"--threads=1"}, ports_[i]);
  }
  ServerProcess& server(int i) { return *servers_[i]; }
  std::string target() const {
    return "ipv4:" + absl::StrJoin(ports_, ",", [](std::string* out, int port) {
             absl::StrAppend(out, "127.0.0.1:", port);
           });
  }
  double Answered(int i) const {
    const auto metrics = HttpGet(servers_[i]->metrics_port(), "/metrics");
    return metrics.ok() ? MetricSum(*metrics, "contexture_requests_total").value_or(-1) : -1;
  }
  bool AwaitAnswer(int i) const {
    const absl::Time end = absl::Now() + kPatience;
    while (Answered(i) < 1 && absl::Now() < end) absl::SleepFor(absl::Milliseconds(20));
    return Answered(i) >= 1;
  }

 private:
  const TemporaryDirectory model_;
  std::array<int, kServers> ports_;
  std::array<std::unique_ptr<ServerProcess>, kServers> servers_;
};

// kClients threads over one client, each a call after another, until the end of the scope.
class Callers {
 public:
  explicit Callers(const std::string& target) : client_({.target = target}) {
    for (int i = 0; i < kClients; ++i) threads_.emplace_back([this] { Run(); });
  }
  ~Callers() { Stop(); }
  void Stop() {
    stopped_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }
  bool Await(int answers) const {
    const absl::Time end = absl::Now() + kPatience;
    while (answered_ < answers && absl::Now() < end) absl::SleepFor(absl::Milliseconds(5));
    return answered_ >= answers;
  }
  int answered() const { return answered_; }
  int failed() const { return failed_; }

 private:
  void Run() {
    while (!stopped_) {
      const auto response = client_.Encode(IdsRequest({{2, 5, 6, 3}}));
      ++(response.ok() ? answered_ : failed_);
      if (response.ok()) continue;
      std::fprintf(stderr, "lost: %s\n", response.status().ToString().c_str());
      return;
    }
  }

  client::EncoderClient client_;
  std::atomic<bool> stopped_{false};
  std::atomic<int> answered_{0}, failed_{0};
  std::vector<std::thread> threads_;
};

TEST(ClusterTest, CallsAreSpreadEvenly) {
  Cluster cluster;
  Callers callers(cluster.target());
  ASSERT_TRUE(callers.Await(1000));  // all servers are connected
  std::array<double, kServers> before, share;
  for (int i = 0; i < kServers; ++i) before[i] = cluster.Answered(i);
  ASSERT_TRUE(callers.Await(callers.answered() + 8000));
  callers.Stop();
  double sum = 0;
  for (int i = 0; i < kServers; ++i) sum += share[i] = cluster.Answered(i) - before[i];
  for (double answered : share) EXPECT_NEAR(answered / sum, 1.0 / kServers, 0.1 / kServers);
}

TEST(ClusterTest, NoCallIsLostWhileServersAreKilledAndDrained) {
  Cluster cluster;
  Callers callers(cluster.target());
  constexpr int kRounds = 8;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_TRUE(callers.Await(callers.answered() + 500));
    const int victim = round % kServers;
    const int signal_number = round % 2 == 0 ? SIGKILL : SIGTERM;
    cluster.server(victim).Signal(signal_number);
    const std::optional<int> code = cluster.server(victim).WaitForExit(kPatience);
    EXPECT_EQ(code, signal_number == SIGKILL ? 128 + SIGKILL : 0);
    cluster.Start(victim);
    ASSERT_THAT(cluster.server(victim).WaitUntilServing(), IsOk());
    // The client has found it again; without that all servers would soon be gone to it.
    ASSERT_TRUE(cluster.AwaitAnswer(victim));
  }
  callers.Stop();
  EXPECT_EQ(callers.failed(), 0);
  std::printf("%d calls answered while %d servers were killed or drained\n", callers.answered(),
              kRounds);
}

}  // namespace
}  // namespace contexture
