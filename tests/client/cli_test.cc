#include "client/cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/client/fake_server.h"
#include "tests/client/run_cli.h"
#include "tests/support/files.h"
#include "tests/support/tiny_model.h"

namespace contexture::cli {
namespace {

using ::contexture::test_support::CliResult;
using ::contexture::test_support::FakeServer;
using ::contexture::test_support::RunContexture;
using ::testing::HasSubstr;

constexpr char kNobody[] = "127.0.0.1:1";

TEST(CliTest, HelpAndVersionAreNotErrors) {
  EXPECT_THAT(RunContexture({"--help"}), ::testing::Field(&CliResult::out, HasSubstr("tokenize")));
  const CliResult encode = RunContexture({"encode", "--help"});
  EXPECT_EQ(encode.code, ExitCode::kOk);
  EXPECT_THAT(encode.out, HasSubstr("--pooling"));
  const CliResult version = RunContexture({"--version"});
  EXPECT_EQ(version.code, ExitCode::kOk);
  EXPECT_THAT(version.out, ::testing::StartsWith("contexture "));
}

TEST(CliTest, WrongArgumentsAreTheUsersMistakeInOneLine) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"sing"},
                                             {"encode", "--no-such-option", "x"},
                                             {"encode", "--pooling=median", "x"},
                                             {"encode", "--normalize=maybe", "x"},
                                             {"encode", "--data-type=float64", "x"},
                                             {"encode", "--truncation=middle", "x"},
                                             {"encode", "--output=xml", "x"},
                                             {"encode", "--dimensions=-1", "x"},
                                             {"encode", "--batch-size=0", "x"},
                                             {"encode", "--timeout=0", "x"},
                                             {"model", "--output=npy"}}) {
    const CliResult result = RunContexture(arguments);
    EXPECT_EQ(result.code, ExitCode::kUserMistake) << ::testing::PrintToString(arguments);
    EXPECT_THAT(result.err, ::testing::StartsWith("error: "));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST(CliTest, WrongChoiceNamesTheAllowedOnes) {
  const CliResult result = RunContexture({"encode", "--pooling=median", "x"});
  EXPECT_THAT(result.err, HasSubstr("median"));
  EXPECT_THAT(result.err, HasSubstr("cls"));
}

TEST(CliTest, NobodyThereIsUnreachable) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"health"}, {"health", "--quiet"}, {"model"}, {"encode", "x"}, {"tokenize", "x"}}) {
    const CliResult result = RunContexture(arguments, kNobody);
    EXPECT_EQ(result.code, ExitCode::kUnreachable) << ::testing::PrintToString(arguments);
    const bool quiet = arguments.size() > 1 && arguments[1] == "--quiet";
    EXPECT_EQ(result.err.find(kNobody) == std::string::npos, quiet) << result.err;
  }
}

TEST(CliTest, HealthTellsServingFromNotServing) {
  FakeServer server;
  const CliResult serving = RunContexture({"health"}, server.address());
  EXPECT_EQ(serving.code, ExitCode::kOk);
  EXPECT_EQ(serving.out, "SERVING\n");
  EXPECT_EQ(RunContexture({"health", "--quiet"}, server.address()).out, "");
  server.health = grpc::health::v1::HealthCheckResponse::NOT_SERVING;
  const CliResult not_serving = RunContexture({"health"}, server.address());
  EXPECT_EQ(not_serving.code, ExitCode::kRefused);
  EXPECT_EQ(not_serving.out, "NOT_SERVING\n");
  EXPECT_EQ(RunContexture({"health", "--service=other"}, server.address()).out,
            "SERVICE_UNKNOWN\n");
}

TEST(CliTest, ServerMayBeNamedAfterTheSubcommandOrByTheEnvironment) {
  FakeServer server;
  EXPECT_EQ(RunContexture({"health", "--server", server.address()}).code, ExitCode::kOk);
  ASSERT_EQ(setenv("CONTEXTURE_SERVER", server.address().c_str(), /*overwrite=*/1), 0);
  EXPECT_EQ(RunContexture({"health"}).code, ExitCode::kOk);
  EXPECT_EQ(RunContexture({"--server", kNobody, "health"}).code, ExitCode::kUnreachable);
  unsetenv("CONTEXTURE_SERVER");
}

TEST(CliTest, ModelPrintsItsFields) {
  FakeServer server;
  EXPECT_THAT(RunContexture({"model"}, server.address()).out,
              ::testing::ContainsRegex("hidden_size +3\n"));
  EXPECT_THAT(RunContexture({"model", "--output=json"}, server.address()).out,
              HasSubstr("\"hidden_size\": 3"));
  const CliResult unknown = RunContexture({"model", "--model=other"}, server.address());
  EXPECT_EQ(unknown.code, ExitCode::kRefused);
  EXPECT_THAT(unknown.err, HasSubstr("NOT_FOUND: no such model"));
}

TEST(CliTest, ModelCheckDescribesADirectoryWithoutAServer) {
  const test_support::TemporaryDirectory directory;
  ASSERT_TRUE(test_support::WriteTinyBert(directory.path()).ok());
  const CliResult text = RunContexture({"model", "check", directory.path()}, kNobody);
  EXPECT_EQ(text.code, ExitCode::kOk);
  for (const char* line :
       {"model_type +bert\n", "hidden_size +32\n", "pooling +mean, normalised\n",
        "stored_as +F32\n", "norm +LayerNorm after each sublayer\n", "precision_f32 +computed\n"}) {
    EXPECT_THAT(text.out, ::testing::ContainsRegex(line));
  }
  const CliResult json =
      RunContexture({"model", "--output=json", "check", directory.path()}, kNobody);
  EXPECT_THAT(json.out, HasSubstr("\"layers\": 2"));
}

TEST(CliTest, ModelCalibrateStoresRangesThatModelCheckShows) {
  const test_support::TemporaryDirectory directory;
  ASSERT_TRUE(test_support::WriteTinyBert(directory.path()).ok());
  const auto check = [&] {
    return RunContexture({"model", "check", directory.path()}, kNobody).out;
  };
  EXPECT_THAT(check(), ::testing::ContainsRegex("int8_calibration +built-in sample of texts\n"));
  const std::string texts = directory.File("texts.txt");
  ASSERT_TRUE(test_support::WriteFile(texts, "hello world\nthe world\n").ok());
  const CliResult stored =
      RunContexture({"model", "calibrate", directory.path(), "--calibration", texts}, kNobody);
  EXPECT_EQ(stored.code, ExitCode::kOk) << stored.err;
  EXPECT_THAT(stored.out, ::testing::ContainsRegex("measured_on +texts.txt, 2 texts\n"));
  EXPECT_THAT(check(), HasSubstr("contexture_calibration.json (texts.txt, 2 texts)"));
  ASSERT_TRUE(test_support::WriteTinyBert(directory.path(), {.seed = 5}).ok());
  EXPECT_THAT(check(), ::testing::ContainsRegex("int8_calibration +no: .*fingerprint"));
}

TEST(CliTest, ModelCalibrateNamesWhatItCannotRead) {
  const test_support::TemporaryDirectory directory;
  ASSERT_TRUE(test_support::WriteTinyBert(directory.path()).ok());
  const CliResult absent = RunContexture(
      {"model", "calibrate", directory.path(), "--calibration", directory.File("absent")}, kNobody);
  EXPECT_EQ(absent.code, ExitCode::kUserMistake);
  EXPECT_THAT(absent.err, HasSubstr("cannot read " + directory.File("absent")));
  const CliResult unwritable = RunContexture(
      {"model", "calibrate", directory.path(), "--to", directory.File("no/such/file")}, kNobody);
  EXPECT_EQ(unwritable.code, ExitCode::kUserMistake);
  EXPECT_THAT(unwritable.err, HasSubstr("cannot write " + directory.File("no/such/file")));
}

TEST(CliTest, ModelCheckSaysWhatIsMissing) {
  const test_support::TemporaryDirectory directory;
  const CliResult result = RunContexture({"model", "check", directory.path()}, kNobody);
  EXPECT_EQ(result.code, ExitCode::kUserMistake);
  EXPECT_THAT(result.err, HasSubstr("lacks config.json and model.safetensors"));
}

TEST(CliTest, TokenizePrintsTokensAsTextAndJson) {
  FakeServer server;
  EXPECT_EQ(RunContexture({"tokenize", "hello"}, server.address()).out,
            "hello\n       7  hello  [0, 5)\n");
  EXPECT_EQ(RunContexture({"tokenize", "--output=json", "hello"}, server.address()).out,
            "{\"results\":[{\"tokens\":[{\"id\":7,\"text\":\"hello\",\"begin\":0,\"end\":5,"
            "\"special\":false}]}]}\n");
}

}  // namespace
}  // namespace contexture::cli
