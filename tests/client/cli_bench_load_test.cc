#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "tests/client/fake_server.h"
#include "tests/client/run_cli.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture::cli {
namespace {

using ::contexture::test_support::AnswerInputs;
using ::contexture::test_support::CliResult;
using ::contexture::test_support::FakeServer;
using ::contexture::test_support::IsOk;
using ::contexture::test_support::RunContexture;
using ::nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CliBenchLoadTest : public ::testing::Test {
 protected:
  CliResult Load(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"bench", "load"});
    arguments.insert(arguments.end(), {"--seconds=0.3", "--warm-up=0"});
    return RunContexture(arguments, server_.address());
  }
  json LoadJson(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const CliResult result = Load(std::move(arguments));
    EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
    return json::parse(result.out);
  }

  test_support::TemporaryDirectory directory_;
  absl::Notification over_;  // outlives the server's threads that wait for it
  FakeServer server_;
};

TEST_F(CliBenchLoadTest, OpenLoopSendsWhatIsDueWhateverTheServerDoes) {
  const json result = LoadJson({"--rate=100", "--arrivals=constant", "--lengths=fixed:7"});
  const json& total = result["total"];
  // Due at 10, 20, ... below 300 ms.
  EXPECT_EQ(total["requests"], 29);
  EXPECT_EQ(total["in_time"], 29);
  EXPECT_EQ(server_.encode_calls, 29);
  EXPECT_NEAR(total["goodput_per_second"], 29 / 0.3, 0.01);
  EXPECT_NEAR(total["goodput_tokens_per_second"], 7 * 29 / 0.3, 0.01);
  EXPECT_EQ(total["latency_seconds"]["count"], 29);
  EXPECT_GT(total["latency_seconds"]["p50"], 0);
  EXPECT_GT(result["generator_cpu_seconds"], 0);
}

TEST_F(CliBenchLoadTest, ClosedLoopKeepsSoManyCallsAndNoMore) {
  std::atomic<int> now{0}, most{0};
  server_.on_encode = [&](grpc::ServerContext& context, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response) {
    const int running = ++now;
    int seen = most;
    while (running > seen && !most.compare_exchange_weak(seen, running)) {
    }
    const grpc::Status status = AnswerInputs(context, request, response);
    --now;
    return status;
  };
  const json result = LoadJson({"--concurrency=3"});
  EXPECT_LE(most, 3);
  EXPECT_GT(result["total"]["in_time"], 3);
  EXPECT_EQ(result["arrivals"], "closed_loop");
}

TEST_F(CliBenchLoadTest, SeveralServersAreCalledInTurn) {
  FakeServer other;
  const CliResult result = RunContexture(
      {"bench", "load", "--rate=200", "--seconds=1", "--warm-up=0", "--lengths=fixed:2", "--json"},
      absl::StrCat("ipv4:", server_.address(), ",", other.address()));
  ASSERT_EQ(result.code, ExitCode::kOk) << result.err;
  EXPECT_EQ(json::parse(result.out)["total"]["in_time"], server_.encode_calls + other.encode_calls);
  // The second connection may come a moment later than the first.
  EXPECT_GT(server_.encode_calls, 60);
  EXPECT_GT(other.encode_calls, 60);
}

TEST_F(CliBenchLoadTest, RetryHidesWhatNoServerTookAndOtherwiseItCounts) {
  std::atomic<int> calls{0};
  server_.on_encode = [&](grpc::ServerContext& context, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response) {
    const int call = ++calls;
    if (call == 1) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "not yet");
    if (call == 2) return grpc::Status(grpc::StatusCode::CANCELLED, "shutting down");
    return AnswerInputs(context, request, response);
  };
  const std::vector<std::string> load = {"--rate=100", "--arrivals=constant", "--lengths=fixed:2"};
  EXPECT_EQ(LoadJson(load)["total"]["failed"], json({{"UNAVAILABLE", 1}, {"CANCELLED", 1}}));
  calls = 0;
  std::vector<std::string> retrying = load;
  retrying.push_back("--retry");
  const json total = LoadJson(retrying)["total"];
  EXPECT_EQ(total["failed"], json::object());
  EXPECT_EQ(total["in_time"], total["requests"]);
}

TEST_F(CliBenchLoadTest, TokenGoesWithEachCall) {
  std::atomic<int> authorized{0};
  server_.on_encode = [&](grpc::ServerContext& context, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response) {
    const auto& metadata = context.client_metadata();
    const auto token = metadata.find("authorization");
    if (token != metadata.end() && token->second == "Bearer abc") ++authorized;
    return AnswerInputs(context, request, response);
  };
  const std::string file = directory_.File("token");
  std::ofstream(file) << "abc\n";
  const CliResult result =
      RunContexture({"--token-file=" + file, "bench", "load", "--concurrency=1",
                     "--lengths=fixed:2", "--seconds=0.3", "--warm-up=0"},
                    server_.address());
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  EXPECT_GT(authorized, 0);
  EXPECT_EQ(authorized, server_.encode_calls);
}

TEST_F(CliBenchLoadTest, RefusalsFailuresAndBadInputsAreCountedApart) {
  std::atomic<int> calls{0};
  server_.on_encode = [&](grpc::ServerContext& context, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response) -> grpc::Status {
    const int call = calls++;
    if (call == 0) return {grpc::StatusCode::RESOURCE_EXHAUSTED, "full"};
    if (call == 1) return {grpc::StatusCode::UNAVAILABLE, "draining"};
    const grpc::Status status = AnswerInputs(context, request, response);
    if (call == 2) response.mutable_results(0)->mutable_status()->set_code(3);
    return status;
  };
  const CliResult result = Load({"--rate=50", "--arrivals=constant"});
  EXPECT_THAT(result.out, AllOf(HasSubstr("  1 failed with UNAVAILABLE\n"),
                                HasSubstr("  1 failed with INVALID_ARGUMENT\n")));
  calls = 0;
  const json counts = LoadJson({"--rate=50", "--arrivals=constant"})["total"];
  EXPECT_EQ(counts["refused"], 1);
  EXPECT_EQ(counts["refused_latency_seconds"]["count"], 1);
  EXPECT_EQ(counts["failed"]["UNAVAILABLE"], 1);  // not tried again
  EXPECT_EQ(counts["in_time"], 14 - 3);
}

TEST_F(CliBenchLoadTest, ClassesTenantAndDeadlineReachTheServer) {
  absl::Mutex mutex;
  std::multiset<std::string> classes, tenants;
  std::atomic<int> without_deadline{0};
  server_.on_encode = [&](grpc::ServerContext& context, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response) {
    const auto value = [&context](const char* key) {
      const auto found = context.client_metadata().find(key);
      return found == context.client_metadata().end()
                 ? std::string()
                 : std::string(found->second.data(), found->second.size());
    };
    {
      absl::MutexLock lock(&mutex);
      classes.insert(value("contexture-class"));
      tenants.insert(value("contexture-tenant"));
    }
    if (context.deadline() > std::chrono::system_clock::now() + std::chrono::seconds(11)) {
      ++without_deadline;
    }
    return AnswerInputs(context, request, response);
  };
  const json result = LoadJson(
      {"--rate=200", "--mix=interactive:1,bulk:1", "--tenant=acme", "--deadline-ms=10000"});
  EXPECT_EQ(classes.count("interactive") + classes.count("bulk"), classes.size());
  EXPECT_EQ(tenants.count("acme"), tenants.size());
  EXPECT_EQ(without_deadline, 0);
  EXPECT_EQ(result["deadline_seconds"], 10);
  EXPECT_EQ(result["classes"]["interactive"]["in_time"], classes.count("interactive"));
  EXPECT_EQ(result["classes"]["bulk"]["in_time"], classes.count("bulk"));
  EXPECT_GT(classes.count("bulk"), 0u);
}

TEST_F(CliBenchLoadTest, RequestsBeyondTheBoundWaitHereAndEndAtTheirDeadlines) {
  // No call has an answer; each holds the one place until its deadline ends it.
  server_.on_encode = [this](grpc::ServerContext&, const v1::EncodeRequest&, v1::EncodeResponse&) {
    over_.WaitForNotification();
    return grpc::Status::OK;
  };
  const json result =
      LoadJson({"--rate=100", "--arrivals=constant", "--max-in-flight=1", "--deadline-ms=60"});
  over_.Notify();
  const json& total = result["total"];
  EXPECT_EQ(total["requests"], 29);
  EXPECT_EQ(total["in_time"], 0);
  const int expired = total["failed"].value("DEADLINE_EXCEEDED", 0);
  EXPECT_EQ(total["unsent"].get<int>() + expired, 29);
  EXPECT_GT(result["send_delay_seconds"]["p99"], 0.02);
}

TEST_F(CliBenchLoadTest, SweepPrintsARowForEachRateAndDrawsThem) {
  const std::string plot = directory_.File("load.svg"), ids = directory_.File("ids.jsonl");
  ASSERT_THAT(test_support::WriteFile(ids, "[1, 2]\n[3]\n"), IsOk());
  const CliResult result = Load({"--rate=20,40", "--sequences", ids, "--plot", plot});
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("\n20/s "), HasSubstr("\n40/s ")));
  std::ostringstream svg;
  svg << std::ifstream(plot).rdbuf();
  EXPECT_THAT(svg.str(), AllOf(HasSubstr("p99.9"), HasSubstr("answered in time")));
}

TEST_F(CliBenchLoadTest, TextsAreSentInTurnAndTheirTokensCounted) {
  const std::string file = directory_.File("texts.txt");
  ASSERT_THAT(test_support::WriteFile(file, "first text\nsecond\n"), IsOk());
  absl::Mutex mutex;
  std::multiset<std::string> sent;
  server_.on_encode = [&](grpc::ServerContext& context, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response) {
    absl::MutexLock lock(&mutex);
    for (const v1::Input& input : request.inputs()) sent.insert(input.text());
    return AnswerInputs(context, request, response);
  };
  const json result = LoadJson({"--rate=20", "--arrivals=constant", "--texts", file});
  // Due at 50, 100, ... below 300 ms; the fake makes one token of a text.
  EXPECT_THAT(sent, ElementsAre("first text", "first text", "first text", "second", "second"));
  EXPECT_NEAR(result["total"]["goodput_tokens_per_second"], 5 / 0.3, 0.01);
}

TEST_F(CliBenchLoadTest, CallersWhoLeaveAreCountedApart) {
  server_.on_encode = [&](grpc::ServerContext& context, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response) {
    while (!context.IsCancelled() && !over_.HasBeenNotified()) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    return AnswerInputs(context, request, response);
  };
  const json result = LoadJson({"--rate=50", "--arrivals=constant", "--cancel=1:20"});
  EXPECT_EQ(result["total"]["requests"], 14);
  EXPECT_EQ(result["total"]["cancelled"], 14);
  EXPECT_EQ(result["total"]["failed"].size(), 0);
}

TEST_F(CliBenchLoadTest, MistakesAreTheUsersAndNoServerIsUnreachable) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"--rate=0"},
                                             {"--rate=5", "--concurrency=1"},
                                             {"--rate=5", "--arrivals=sometimes"},
                                             {"--rate=5", "--lengths=long"},
                                             {"--rate=5", "--mix=a:0"},
                                             {"--rate=5", "--plot=a.pdf"},
                                             {"--rate=5", "--cancel=2:1"},
                                             {"--rate=5", "--cancel=0.5"},
                                             {"--rate=5", "--texts=/nonexistent"},
                                             {"--rate=5", "--texts=/a", "--sequences=/b"},
                                             {"--rate=5", "--sequences=/nonexistent"}}) {
    EXPECT_EQ(Load(arguments).code, ExitCode::kUserMistake) << ::testing::PrintToString(arguments);
  }
  EXPECT_EQ(RunContexture({"bench", "load", "--rate=5"}, "127.0.0.1:1").code,
            ExitCode::kUnreachable);
  EXPECT_EQ(server_.encode_calls, 0);
}

}  // namespace
}  // namespace contexture::cli
