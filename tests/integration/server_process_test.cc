// The real binary from outside: start, refusals at start, requests, and limits.

#include "tests/integration/server_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/integration/encode_call.h"
#include "tests/integration/probes.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::CallEncode;
using test_support::CallGetModel;
using test_support::EncodeAnswer;
using test_support::HttpGet;
using test_support::IdsRequest;
using test_support::IsOk;
using test_support::ServerProcess;
using test_support::TemporaryDirectory;
using test_support::TinyBertOptions;
using test_support::WriteTinyBert;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kExitTimeout = absl::Seconds(30);

std::vector<float> Floats(const v1::Tensor& tensor) {
  std::vector<float> values(tensor.data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.data().data(), values.size() * sizeof(float));
  return values;
}

double Length(const std::vector<float>& vector) {
  double square = 0;
  for (float value : vector) square += double{value} * value;
  return std::sqrt(square);
}

// Encodes two id sequences and checks the shapes and the length of the pooled vectors.
void ExpectEncodes(const ServerProcess& server) {
  const std::shared_ptr<grpc::Channel> channel = server.NewChannel();
  const absl::StatusOr<v1::Model> model = CallGetModel(channel);
  ASSERT_THAT(model, IsOk());
  const int64_t hidden = model->hidden_size();
  v1::EncodeRequest request = IdsRequest({{2, 57, 58, 3}, {2, 60, 3}});
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
  const EncodeAnswer answer = CallEncode(channel, request);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  ASSERT_EQ(answer.response.results_size(), 2);
  const v1::Result& result = answer.response.results(0);
  ASSERT_FALSE(result.has_status()) << result.status().message();
  ASSERT_EQ(result.outputs_size(), 2);
  EXPECT_THAT(result.outputs(0).shape(), ElementsAre(hidden));
  EXPECT_NEAR(Length(Floats(result.outputs(0))), 1.0, 1e-5);
  EXPECT_THAT(result.outputs(1).shape(), ElementsAre(4, hidden));
  EXPECT_EQ(Floats(result.outputs(1)).size(), static_cast<size_t>(4 * hidden));
  EXPECT_THAT(result.token_ids(), ElementsAre(2, 57, 58, 3));
  EXPECT_EQ(answer.response.results(1).token_count(), 3u);
}

void ExpectStopsCleanly(ServerProcess& server) {
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(kExitTimeout), 0) << server.standard_error();
}

TEST(ServerProcessTest, ServesTinyModelAndStops) {
  const TemporaryDirectory model;
  ASSERT_THAT(WriteTinyBert(model.path()), IsOk());
  const auto server = ServerProcess::Serve(model.path());
  ASSERT_THAT(server->WaitUntilServing(), IsOk());
  ExpectEncodes(*server);
  EXPECT_THAT(HttpGet(server->metrics_port(), "/metrics"), IsOk());
  ExpectStopsCleanly(*server);
}

TEST(ServerProcessTest, ServesRealModelAndStops) {
  const char* directory = std::getenv("CONTEXTURE_MODEL_DIR");
  if (directory == nullptr) GTEST_SKIP() << "CONTEXTURE_MODEL_DIR is not set";
  const auto server = ServerProcess::Serve(directory);
  ASSERT_THAT(server->WaitUntilServing(), IsOk());
  ExpectEncodes(*server);
  ExpectStopsCleanly(*server);
}

TEST(ServerProcessTest, InterruptStopsItToo) {
  const TemporaryDirectory model;
  ASSERT_THAT(WriteTinyBert(model.path()), IsOk());
  const auto server = ServerProcess::Serve(model.path());
  ASSERT_THAT(server->WaitUntilServing(), IsOk());
  server->Signal(SIGINT);
  EXPECT_EQ(server->WaitForExit(kExitTimeout), 0) << server->standard_error();
}

TEST(ServerProcessTest, MessageOverTheLimitIsRefusedAndOthersGoOn) {
  const TemporaryDirectory directory;
  ASSERT_THAT(WriteTinyBert(directory.path()), IsOk());
  constexpr uint64_t kLimit = 100'000;
  const auto server =
      ServerProcess::Serve(directory.path(), {"--max-message-bytes=" + std::to_string(kLimit)});
  ASSERT_THAT(server->WaitUntilServing(), IsOk());
  const absl::StatusOr<v1::Model> model = CallGetModel(server->NewChannel());
  ASSERT_THAT(model, IsOk());
  EXPECT_EQ(model->max_message_bytes(), kLimit);
  v1::EncodeRequest request;
  request.add_inputs()->set_text(std::string(kLimit, 'a'));
  EXPECT_EQ(CallEncode(server->NewChannel(), request).status.error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  ExpectEncodes(*server);
  ExpectStopsCleanly(*server);
}

// Whether the server's log has TEXT within the test's patience.
bool AwaitLog(const ServerProcess& server, const std::string& text) {
  const absl::Time end = absl::Now() + kExitTimeout;
  while (absl::Now() < end) {
    if (absl::StrContains(server.standard_error(), text)) return true;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return false;
}

TEST(ServerProcessTest, TheLogLevelFollowsTheConfigurationFile) {
  const TemporaryDirectory model, directory;
  ASSERT_THAT(WriteTinyBert(model.path()), IsOk());
  const std::string config = directory.File("contexture.yaml");
  ASSERT_THAT(test_support::WriteFile(config, "log-level: error\n"), IsOk());
  const auto server =
      ServerProcess::Serve(model.path(), {"--config=" + config, "--log-format=json"});
  ASSERT_THAT(server->WaitUntilServing(), IsOk());
  const v1::EncodeRequest no_inputs;
  EXPECT_FALSE(CallEncode(server->NewChannel(), no_inputs).status.ok());
  EXPECT_EQ(server->standard_error(), "");
  ASSERT_THAT(test_support::WriteFile(config, "log-level: info\n"), IsOk());
  server->Signal(SIGHUP);
  ASSERT_TRUE(AwaitLog(*server, "\"event\":\"reloaded\"")) << server->standard_error();
  EXPECT_FALSE(CallEncode(server->NewChannel(), no_inputs).status.ok());
  EXPECT_TRUE(AwaitLog(*server, "\"reason\":\"NO_INPUTS\"")) << server->standard_error();
  ExpectStopsCleanly(*server);
}

// Runs the server with a model that it must refuse, and returns the only error that it wrote: its
// last line, after those that say what it was doing.
std::string RefusedModel(const std::string& directory) {
  ServerProcess server(
      {"--model=" + directory, "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0"});
  EXPECT_EQ(server.WaitForExit(kExitTimeout), 2);
  const std::string output = server.standard_error();
  const std::vector<std::string> lines = absl::StrSplit(output, '\n', absl::SkipEmpty());
  const auto is_error = [](const std::string& line) { return absl::StrContains(line, " error "); };
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(), is_error), 1) << output;
  if (lines.empty()) return "";
  EXPECT_TRUE(is_error(lines.back())) << output;
  return lines.back();
}

TEST(ServerProcessTest, MissingModelDirectoryIsNamedInOneLine) {
  const TemporaryDirectory scratch;
  const std::string missing = scratch.File("no-such-model");
  EXPECT_THAT(RefusedModel(missing), HasSubstr(missing));
}

TEST(ServerProcessTest, UnknownConfigValueIsNamedInOneLine) {
  const TemporaryDirectory model;
  TinyBertOptions options;
  options.hidden_act = "swishish";
  ASSERT_THAT(WriteTinyBert(model.path(), options), IsOk());
  const std::string output = RefusedModel(model.path());
  EXPECT_THAT(output, HasSubstr("hidden_act"));
  EXPECT_THAT(output, HasSubstr("swishish"));
}

TEST(ServerProcessTest, UnknownFlagIsNamed) {
  ServerProcess server({"--no-such-flag=1"});
  EXPECT_EQ(server.WaitForExit(kExitTimeout), 2);
  EXPECT_THAT(server.standard_error(), HasSubstr("no-such-flag"));
}

TEST(ServerProcessTest, MissingModelFlagIsNamed) {
  ServerProcess server(std::vector<std::string>{});
  EXPECT_EQ(server.WaitForExit(kExitTimeout), 2);
  EXPECT_THAT(server.standard_error(), HasSubstr("--model"));
}

TEST(ServerProcessTest, PortInUseIsNamed) {
  const TemporaryDirectory model;
  ASSERT_THAT(WriteTinyBert(model.path()), IsOk());
  const auto first = ServerProcess::Serve(model.path());
  ASSERT_THAT(first->WaitUntilServing(), IsOk());
  const std::string taken = "127.0.0.1:" + std::to_string(first->port());
  ServerProcess second(
      {"--model=" + model.path(), "--listen=" + taken, "--metrics-listen=127.0.0.1:0"});
  const std::optional<int> exit = second.WaitForExit(kExitTimeout);
  ASSERT_TRUE(exit.has_value()) << "two servers listen on " << taken;
  EXPECT_NE(*exit, 0);
  EXPECT_THAT(second.standard_error(), HasSubstr(taken));
}

}  // namespace
}  // namespace contexture
