// SIGTERM under load: what was admitted is answered, the rest is refused cleanly, and the exit is
// 0.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "tests/integration/encode_call.h"
#include "tests/integration/probes.h"
#include "tests/integration/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::CallEncode;
using test_support::CheckHealth;
using test_support::EncodeAnswer;
using test_support::HealthAnswer;
using test_support::HttpGet;
using test_support::IdsRequest;
using test_support::IsOk;
using test_support::MetricSum;
using test_support::RandomIds;
using test_support::ServerProcess;
using test_support::TemporaryDirectory;
using test_support::TinyBertOptions;
using test_support::WriteTinyBert;

constexpr int kClients = 16;
constexpr int kItemsPerRequest = 64;
constexpr int kItemTokens = 40;
constexpr int kRequestTokens = kItemsPerRequest * kItemTokens;
// The default grace is 30 s; the work queued here needs a few seconds.
constexpr absl::Duration kExitTimeout = absl::Seconds(40);

// Random weights, but large enough that kClients requests take seconds.
TinyBertOptions SlowModel() {
  TinyBertOptions options;
  options.hidden_size = 256;
  options.num_layers = 6;
  options.intermediate_size = 1024;
  return options;
}

v1::EncodeRequest BigRequest(int seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<uint32_t>> sequences;
  for (int i = 0; i < kItemsPerRequest; ++i) {
    sequences.push_back(RandomIds(random, kItemTokens, 64));
  }
  return IdsRequest(sequences);
}

bool IsWholeAnswer(const EncodeAnswer& answer, int items) {
  if (!answer.status.ok() || answer.response.results_size() != items) return false;
  for (const v1::Result& result : answer.response.results()) {
    if (result.has_status() || result.outputs_size() != 1) return false;
  }
  return true;
}

// Refused before admission: by the draining server, or because it no longer listens or closes the
// connection in an orderly way. A connection that breaks under a running call is none of these.
bool IsCleanRefusal(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
         (absl::StrContains(status.error_details(), "SERVER_DRAINING") ||
          absl::StrContains(status.error_message(), "failed to connect") ||
          absl::StrContains(status.error_message(), "Connection refused") ||
          absl::StrContains(status.error_message(), "GOAWAY"));
}

double QueuedTokens(const ServerProcess& server) {
  const absl::StatusOr<std::string> metrics = HttpGet(server.metrics_port(), "/metrics");
  return metrics.ok() ? MetricSum(*metrics, "contexture_queue_tokens").value_or(-1) : -1;
}

// A server with kClients big requests running and waiting.
class LoadedServer {
 public:
  LoadedServer() {
    EXPECT_THAT(WriteTinyBert(model_.path(), SlowModel()), IsOk());
    server_ = ServerProcess::Serve(model_.path());
  }
  ~LoadedServer() { Join(); }

  // Sends the requests and returns how many were surely admitted; 0 when that could not be seen.
  int Start() {
    for (int i = 0; i < kClients; ++i) {
      threads_.emplace_back(
          [this, i] { answers_[i] = CallEncode(server_->NewChannel(), BigRequest(i)); });
    }
    // More waiting tokens than half of the requests hold: at least one more than half is in.
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (absl::Now() < end) {
      if (QueuedTokens(*server_) > kClients / 2 * kRequestTokens) return kClients / 2 + 1;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return 0;
  }

  const std::vector<EncodeAnswer>& Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return answers_;
  }

  ServerProcess& server() { return *server_; }

 private:
  TemporaryDirectory model_;
  std::unique_ptr<ServerProcess> server_;
  std::vector<EncodeAnswer> answers_{kClients};
  std::vector<std::thread> threads_;
};

TEST(DrainTest, AdmittedRequestsAreAnsweredAfterTerminate) {
  LoadedServer loaded;
  ServerProcess& server = loaded.server();
  ASSERT_THAT(server.WaitUntilServing(), IsOk());
  const int admitted = loaded.Start();
  ASSERT_GT(admitted, 0) << "the queue never filled";
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(kExitTimeout), 0) << server.standard_error();
  int answered = 0;
  for (const EncodeAnswer& answer : loaded.Join()) {
    const bool whole = IsWholeAnswer(answer, kItemsPerRequest);
    answered += whole ? 1 : 0;
    EXPECT_TRUE(whole || IsCleanRefusal(answer.status))
        << answer.status.error_code() << " " << answer.status.error_message();
  }
  std::printf("%d of %d requests answered, at least %d were admitted\n", answered, kClients,
              admitted);
  EXPECT_GE(answered, admitted);
}

TEST(DrainTest, DrainingServerIsNotServingAndRefusesNewWork) {
  LoadedServer loaded;
  ServerProcess& server = loaded.server();
  ASSERT_THAT(server.WaitUntilServing(), IsOk());
  const std::shared_ptr<grpc::Channel> channel = server.NewChannel();
  ASSERT_EQ(CheckHealth(channel), HealthAnswer::kServing);
  ASSERT_GT(loaded.Start(), 0) << "the queue never filled";
  server.Signal(SIGTERM);
  HealthAnswer health = HealthAnswer::kServing;
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (health == HealthAnswer::kServing && absl::Now() < end) health = CheckHealth(channel);
  EXPECT_EQ(health, HealthAnswer::kNotServing);
  const EncodeAnswer refused = CallEncode(channel, BigRequest(kClients));
  EXPECT_TRUE(IsCleanRefusal(refused.status))
      << refused.status.error_code() << " " << refused.status.error_message();
  EXPECT_EQ(server.WaitForExit(kExitTimeout), 0) << server.standard_error();
}

TEST(DrainTest, SecondTerminateEndsAtOnce) {
  LoadedServer loaded;
  ServerProcess& server = loaded.server();
  ASSERT_THAT(server.WaitUntilServing(), IsOk());
  ASSERT_GT(loaded.Start(), 0) << "the queue never filled";
  server.Signal(SIGTERM);
  absl::SleepFor(absl::Milliseconds(100));  // two pending signals of one kind would become one
  const double queued = QueuedTokens(server);
  ASSERT_FALSE(server.WaitForExit(absl::ZeroDuration()).has_value());
  const absl::Time start = absl::Now();
  server.Signal(SIGTERM);
  const std::optional<int> exit = server.WaitForExit(kExitTimeout);
  ASSERT_TRUE(exit.has_value());
  std::printf("ended with %d after %s, %.0f tokens were waiting\n", *exit,
              absl::FormatDuration(absl::Now() - start).c_str(), queued);
  // At once on a machine that has other work too; and it dropped work.
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_NE(*exit, 0) << "an exit that drops work is not a success";
  // A broken call is an error for its caller; it must not hang.
  for (const EncodeAnswer& answer : loaded.Join()) {
    EXPECT_NE(answer.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
}

struct Tally {
  std::atomic<int> answered = 0, answered_after_signal = 0, refused = 0, broken = 0;
};

// Small requests one after the other on one connection until the first refusal, as a caller does
// that backs off. A call that meets the moment between the start of gRPC 1.51's shutdown and the
// arrival of GOAWAY ends with CANCELLED before the service sees it; the log tells it from one that
// was admitted.
void CallUntilRefused(const ServerProcess& server, int seed, const std::atomic<bool>& signalled,
                      Tally& tally) {
  const std::shared_ptr<grpc::Channel> channel = server.NewChannel();
  std::mt19937 random(seed);
  while (true) {
    const int items = 1 + static_cast<int>(random() % 4);
    std::vector<std::vector<uint32_t>> sequences;
    for (int i = 0; i < items; ++i) sequences.push_back(RandomIds(random, 1 + random() % 40, 64));
    const EncodeAnswer answer = CallEncode(channel, IdsRequest(sequences));
    if (IsWholeAnswer(answer, items)) {
      ++tally.answered;
      if (signalled) ++tally.answered_after_signal;
      continue;
    }
    const bool unseen = signalled && answer.status.error_code() == grpc::StatusCode::CANCELLED;
    if (unseen || IsCleanRefusal(answer.status)) {
      ++tally.refused;
    } else {
      ++tally.broken;
      ADD_FAILURE() << answer.status.error_code() << " " << answer.status.error_message();
    }
    return;
  }
}

TEST(DrainTest, SteadyLoadSeesAnswersAndRefusalsOnly) {
  const TemporaryDirectory model;
  ASSERT_THAT(WriteTinyBert(model.path(), SlowModel()), IsOk());
  for (int round = 0; round < 3; ++round) {
    const auto server = ServerProcess::Serve(model.path());
    ASSERT_THAT(server->WaitUntilServing(), IsOk());
    Tally tally;
    std::atomic<bool> signalled = false;
    std::vector<std::thread> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.emplace_back([&, i] { CallUntilRefused(*server, i, signalled, tally); });
    }
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while (tally.answered < (2 + round) * kClients && absl::Now() < end) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    server->Signal(SIGTERM);
    signalled = true;
    EXPECT_EQ(server->WaitForExit(kExitTimeout), 0) << server->standard_error();
    for (std::thread& client : clients) client.join();
    std::printf("%d answered, %d of them after SIGTERM, %d refused, %d broken\n",
                tally.answered.load(), tally.answered_after_signal.load(), tally.refused.load(),
                tally.broken.load());
    EXPECT_GE(tally.answered, kClients);
    EXPECT_EQ(tally.broken, 0);
    EXPECT_FALSE(absl::StrContains(server->standard_error(), "code=CANCELLED"))
        << server->standard_error();
    EXPECT_EQ(tally.refused, kClients);
  }
}

}  // namespace
}  // namespace contexture
