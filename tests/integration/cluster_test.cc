// Several servers behind one client that balances: calls are spread, and none is lost while servers
// are killed and drained.
//
//   cluster_test [--seconds=N]   with N: 200 callers instead of 50, and servers go for so long

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

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
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
constexpr absl::Duration kPatience = absl::Seconds(60);

int num_clients = 50;
// How long servers are killed and drained; after kRounds when it is 0.
absl::Duration disruption = absl::ZeroDuration();
constexpr int kRounds = 4;

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

// num_clients threads over one client, each a call after another, until the end of the scope.
class Callers {
 public:
  explicit Callers(const std::string& target) : client_({.target = target}) {
    for (int i = 0; i < num_clients; ++i) threads_.emplace_back([this] { Run(); });
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
  std::printf("of %.0f calls %.0f, %.0f, %.0f, %.0f by each server\n", sum, share[0], share[1],
              share[2], share[3]);
}

// One server is killed and another drained at the same time; both come back at their addresses.
void KillOneAndDrainAnother(Cluster& cluster, int killed, int drained) {
  cluster.server(killed).Signal(SIGKILL);
  cluster.server(drained).Signal(SIGTERM);
  EXPECT_EQ(cluster.server(killed).WaitForExit(kPatience), 128 + SIGKILL);
  EXPECT_EQ(cluster.server(drained).WaitForExit(kPatience), 0);
  for (int i : {killed, drained}) cluster.Start(i);
  for (int i : {killed, drained}) {
    ASSERT_THAT(cluster.server(i).WaitUntilServing(), IsOk());
    // The client has found it again; without that all servers would soon be gone to it.
    ASSERT_TRUE(cluster.AwaitAnswer(i));
  }
}

TEST(ClusterTest, NoCallIsLostWhileServersAreKilledAndDrained) {
  Cluster cluster;
  Callers callers(cluster.target());
  const absl::Time end = absl::Now() + disruption;
  int rounds = 0;
  for (; rounds < kRounds || absl::Now() < end; ++rounds) {
    ASSERT_TRUE(callers.Await(callers.answered() + 500));
    ASSERT_NO_FATAL_FAILURE(
        KillOneAndDrainAnother(cluster, rounds % kServers, (rounds + 2) % kServers));
  }
  callers.Stop();
  EXPECT_EQ(callers.failed(), 0);
  std::printf("%d calls of %d callers answered while %d servers were killed and %d drained\n",
              callers.answered(), num_clients, rounds, rounds);
}

}  // namespace
}  // namespace contexture

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    int seconds = 0;
    if (!absl::ConsumePrefix(&argument, "--seconds=") || !absl::SimpleAtoi(argument, &seconds) ||
        seconds < 1) {
      std::fprintf(stderr, "%s is not --seconds=N with N >= 1\n", argv[i]);
      return 2;
    }
    contexture::num_clients = 200;
    contexture::disruption = absl::Seconds(seconds);
  }
  return RUN_ALL_TESTS();
}
