// The models of a real process change while it serves: at SIGHUP, by its configuration file and by
// the command line.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/client/run_cli.h"
#include "tests/integration/encode_call.h"
#include "tests/integration/probes.h"
#include "tests/integration/rounds.h"
#include "tests/integration/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::CallEncode;
using test_support::CallGetModel;
using test_support::CheckHealth;
using test_support::CliResult;
using test_support::EncodeAnswer;
using test_support::HealthAnswer;
using test_support::HttpGet;
using test_support::IdsRequest;
using test_support::IsOk;
using test_support::MetricSum;
using test_support::RandomIds;
using test_support::Rounds;
using test_support::RunContexture;
using test_support::ServerProcess;
using test_support::TemporaryDirectory;
using test_support::TinyBertOptions;
using test_support::WriteFile;
using test_support::WriteTinyBert;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(60);

// Two models of one shape and tokenizer and different weights, and a link to one of them.
class TwoModels {
 public:
  TwoModels() {
    TinyBertOptions options;
    for (const char* name : {"a", "b"}) {
      EXPECT_THAT(WriteTinyBert(directory_.File(name), options), IsOk());
      ++options.seed;
    }
    PointTo("a");
  }
  // As Kubernetes does it: a new link takes the place of the old one.
  void PointTo(const std::string& name) {
    std::filesystem::create_directory_symlink(directory_.File(name), directory_.File("next"));
    std::filesystem::rename(directory_.File("next"), live());
  }
  std::string live() const { return directory_.File("live"); }
  std::string File(const std::string& name) const { return directory_.File(name); }

 private:
  const TemporaryDirectory directory_;
};

std::string Fingerprint(const std::shared_ptr<grpc::Channel>& channel) {
  const auto model = CallGetModel(channel);
  return model.ok() ? model->fingerprint() : "";
}

// Blocks until the default model of CHANNEL's server has another fingerprint than BEFORE.
std::string AwaitAnother(const std::shared_ptr<grpc::Channel>& channel, const std::string& before) {
  const absl::Time end = absl::Now() + kPatience;
  std::string now = Fingerprint(channel);
  while ((now.empty() || now == before) && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(5));
    now = Fingerprint(channel);
  }
  return now;
}

v1::EncodeRequest RequestOf(int seed, const std::string& model) {
  std::mt19937 random(seed);
  std::vector<std::vector<uint32_t>> sequences;
  for (int i = 0; i < 4; ++i) sequences.push_back(RandomIds(random, 1 + random() % 30, 64));
  v1::EncodeRequest request = IdsRequest(sequences);
  request.set_model(model);
  return request;
}

std::vector<std::string> Vectors(const v1::EncodeResponse& response) {
  std::vector<std::string> vectors;
  for (const v1::Result& result : response.results()) {
    vectors.push_back(result.outputs_size() == 1 ? result.outputs(0).data() : "");
  }
  return vectors;
}

constexpr int kRequests = 16;  // different ones

// What the models called NAMES answer to each request, by fingerprint.
using Expected = std::map<std::string, std::vector<std::vector<std::string>>>;
Expected Ask(const ServerProcess& server, const std::vector<std::string>& names) {
  Expected expected;
  for (const std::string& name : names) {
    for (int i = 0; i < kRequests; ++i) {
      const EncodeAnswer answer = CallEncode(server.NewChannel(), RequestOf(i, name));
      EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
      expected[answer.response.fingerprint()].push_back(Vectors(answer.response));
    }
  }
  return expected;
}

TEST(ReloadTest, ReplacementsUnderLoadFailAndMixNothing) {
  TwoModels models;
  const auto server = ServerProcess::Serve(
      absl::StrCat("live=", models.live(), ",a=", models.File("a"), ",b=", models.File("b")),
      {"--cache-bytes=1MiB"});
  ASSERT_THAT(server->WaitUntilServing(), IsOk());
  const Expected expected = Ask(*server, {"a", "b"});
  ASSERT_EQ(expected.size(), 2u) << "the models differ";
  std::atomic<bool> stop{false};
  std::atomic<int> right{0}, failed{0}, mixed{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      const auto channel = server->NewChannel();
      for (int i = c; !stop; ++i) {
        const int request = i % kRequests;
        const EncodeAnswer answer = CallEncode(channel, RequestOf(request, "live"));
        if (!answer.status.ok()) {
          ++failed;
          std::fprintf(stderr, "failed: %s\n", answer.status.error_message().c_str());
          continue;
        }
        const auto model = expected.find(answer.response.fingerprint());
        const bool same =
            model != expected.end() && Vectors(answer.response) == model->second[request];
        ++(same ? right : mixed);
      }
    });
  }
  const auto channel = server->NewChannel();
  std::string fingerprint = Fingerprint(channel);
  const int rounds = Rounds();
  for (int round = 0; round < rounds; ++round) {
    const int before = right;
    const absl::Time end = absl::Now() + kPatience;
    while (right < before + 100 && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
    models.PointTo(round % 2 == 0 ? "b" : "a");
    server->Signal(SIGHUP);
    const std::string next = AwaitAnother(channel, fingerprint);
    EXPECT_NE(next, fingerprint) << server->standard_error();
    fingerprint = next;
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  std::printf("%d replacements, %d right answers, %d failed, %d mixed\n", rounds, right.load(),
              failed.load(), mixed.load());
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(mixed, 0);
  EXPECT_GE(right, 100 * rounds);
}

TEST(ReloadTest, ReplacementThatIsBrokenIsRefusedAndCounted) {
  TwoModels models;
  const auto server = ServerProcess::Serve(models.live());
  ASSERT_THAT(server->WaitUntilServing(), IsOk());
  const auto channel = server->NewChannel();
  const std::string before = Fingerprint(channel);
  ASSERT_THAT(WriteFile(models.File("broken/config.json"), "{\"model_type\": \"bert\"}"), IsOk());
  models.PointTo("broken");
  server->Signal(SIGHUP);
  const absl::Time end = absl::Now() + kPatience;
  while (!absl::StrContains(server->standard_error(), "model_not_replaced") && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_THAT(server->standard_error(), HasSubstr("model_not_replaced"));
  const auto metrics = HttpGet(server->metrics_port(), "/metrics");
  ASSERT_THAT(metrics, IsOk());
  EXPECT_THAT(*metrics,
              HasSubstr("contexture_model_changes_total{change=\"replace\",result=\"failed\"} 1"));
  EXPECT_EQ(Fingerprint(channel), before);
  EXPECT_EQ(CheckHealth(channel), HealthAnswer::kServing);
  EXPECT_TRUE(CallEncode(channel, RequestOf(1, "")).status.ok());
}

TEST(ReloadTest, ChangedConfigFileIsTakenWithoutASignal) {
  TwoModels models;
  const std::string config = models.File("config.yaml");
  ASSERT_THAT(WriteFile(config, absl::StrCat("model: [", models.File("a"), "]\n")), IsOk());
  const int port = test_support::FreePort();
  ServerProcess server({absl::StrCat("--config=", config), "--config-reload-interval=20ms",
                        absl::StrCat("--listen=127.0.0.1:", port), "--metrics-listen="});
  server.SetPort(port);
  ASSERT_THAT(server.WaitUntilServing(), IsOk());
  const auto channel = server.NewChannel();
  const std::string before = Fingerprint(channel);
  ASSERT_THAT(WriteFile(config, absl::StrCat("model: [b=", models.File("b"), ", ", models.File("a"),
                                             "]\nthreads: 1\n")),
              IsOk());
  EXPECT_NE(AwaitAnother(channel, before), before) << server.standard_error();
  EXPECT_TRUE(CallEncode(channel, RequestOf(1, "a")).status.ok()) << "the other is still there";
  EXPECT_THAT(server.standard_error(), HasSubstr("restart_needed"));
  ASSERT_THAT(WriteFile(config, "model: [x=]\n"), IsOk());
  const absl::Time end = absl::Now() + kPatience;
  while (!absl::StrContains(server.standard_error(), "config_not_reloaded") && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_THAT(server.standard_error(), HasSubstr("config_not_reloaded"));
  EXPECT_TRUE(CallEncode(channel, RequestOf(1, "b")).status.ok());
}

TEST(ReloadTest, CommandLineChangesTheModels) {
  TwoModels models;
  const auto server = ServerProcess::Serve(absl::StrCat("live=", models.live()), {"--admin=true"});
  ASSERT_THAT(server->WaitUntilServing(), IsOk());
  const std::string address = absl::StrCat("127.0.0.1:", server->port());
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "models");
    const CliResult result = RunContexture(arguments, address);
    return absl::StrCat(static_cast<int>(result.code), " ", result.out, result.err);
  };
  EXPECT_THAT(run({"list"}), HasSubstr("0 * live"));
  EXPECT_THAT(run({"load", "second", models.File("b")}), HasSubstr("0   second"));
  EXPECT_THAT(run({"load", "second", models.File("b")}), HasSubstr("ALREADY_EXISTS"));
  EXPECT_THAT(run({"reload"}), HasSubstr("unchanged"));
  models.PointTo("b");
  EXPECT_THAT(run({"reload", "live"}), HasSubstr("replaced"));
  EXPECT_THAT(run({"reload", "live", models.File("a")}), HasSubstr("replaced"));
  EXPECT_THAT(run({"unload", "second"}), HasSubstr("unloaded second"));
  EXPECT_THAT(run({"unload", "live"}), HasSubstr("FAILED_PRECONDITION"));
  const auto plain = ServerProcess::Serve(models.live());
  ASSERT_THAT(plain->WaitUntilServing(), IsOk());
  const CliResult refused =
      RunContexture({"models", "list"}, absl::StrCat("127.0.0.1:", plain->port()));
  EXPECT_THAT(refused.err, HasSubstr("without --admin"));
}

}  // namespace
}  // namespace contexture
