#include "server/flags.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/flag_values.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<ParsedFlags> Parse(std::vector<const char*> arguments,
                                  const std::map<std::string, std::string>& environment = {}) {
  arguments.insert(arguments.begin(), "contexture-server");
  return ParseFlags(static_cast<int>(arguments.size()), arguments.data(), [&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(FlagsTest, DefaultsAreThoseOfTheOptions) {
  auto parsed = Parse({"--model=m"});
  ASSERT_THAT(parsed, IsOk());
  const ServerOptions defaults;
  for (const Flag& flag : FlagTable()) {
    if (flag.name != "model") {
      EXPECT_EQ(flag.get(parsed->options), flag.get(defaults)) << flag.name;
    }
  }
  EXPECT_EQ(parsed->options.listen, "127.0.0.1:50051");
}

TEST(FlagsTest, EveryFlagReadsWhatItPrints) {
  for (const Flag& flag : FlagTable()) {
    ServerOptions options;
    const std::string value = flag.get(options);
    EXPECT_THAT(flag.set(value, options), IsOk()) << flag.name;
    EXPECT_EQ(flag.get(options), value) << flag.name;
  }
}

TEST(FlagsTest, ModelsMayBeSeveral) {
  const test_support::TemporaryDirectory directory;
  const std::string path = directory.File("config.yaml");
  ASSERT_THAT(test_support::WriteFile(path, "model: [/m/a, b=/m/c]\n"), IsOk());
  auto listed = Parse({"--config", path.c_str()});
  ASSERT_THAT(listed, IsOk());
  EXPECT_EQ(listed->options.model, "/m/a,b=/m/c");
  EXPECT_EQ(listed->config_path, path);
  auto repeated = Parse({"--model=/m/a", "--model", "b=/m/c"});
  ASSERT_THAT(repeated, IsOk());
  EXPECT_EQ(repeated->options.model, "/m/a,b=/m/c");
  EXPECT_EQ(Parse({"--model=/m/a,b=/m/c"})->options.model, "/m/a,b=/m/c");
  EXPECT_THAT(Parse({"--model=/m/a", "--model=/n/a"}), StatusIs(kInvalid, HasSubstr("'a'")));
}

TEST(FlagsTest, AdminNeedsATokenWhereOthersReachIt) {
  EXPECT_THAT(Parse({"--model=m", "--admin=true"}), IsOk());
  EXPECT_THAT(Parse({"--model=m", "--admin=true", "--listen=unix:/tmp/s"}), IsOk());
  EXPECT_THAT(Parse({"--model=m", "--admin=true", "--listen=0.0.0.0:1", "--allow-plaintext=true"}),
              StatusIs(kInvalid, HasSubstr("0.0.0.0:1")));
  EXPECT_THAT(Parse({"--model=m", "--admin=true", "--listen=0.0.0.0:1", "--allow-plaintext=true",
                     "--token-file=t"}),
              IsOk());
}

TEST(FlagsTest, CommandLineWinsOverEnvironmentWinsOverFile) {
  const test_support::TemporaryDirectory directory;
  const std::string path = directory.File("config.yaml");
  ASSERT_THAT(test_support::WriteFile(path, "threads: 3\nmax-queue-tokens: 3\nlog-format: json\n"),
              IsOk());
  auto parsed = Parse({"--model=m", "--config", path.c_str(), "--threads=5"},
                      {{"CONTEXTURE_THREADS", "4"}, {"CONTEXTURE_MAX_QUEUE_TOKENS", "4"}});
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->options.threads, 5);
  EXPECT_EQ(parsed->options.queue.max_tokens, 4);
  EXPECT_EQ(parsed->options.log_format, LogFormat::kJson);
}

TEST(FlagsTest, PrintedConfigIsReadBack) {
  auto printed = Parse({"--model=m", "--drain-grace=7s", "--max-message-bytes=1MiB",
                        "--metrics-listen=", "--reflection=false", "--print-config"});
  ASSERT_THAT(printed, IsOk());
  const test_support::TemporaryDirectory directory;
  const std::string path = directory.File("config.yaml");
  ASSERT_THAT(test_support::WriteFile(path, printed->print_and_exit), IsOk());
  auto parsed = Parse({"--config", path.c_str()});
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->options.model, "m");
  EXPECT_EQ(parsed->options.drain_grace, absl::Seconds(7));
  EXPECT_EQ(parsed->options.max_message_bytes, 1 << 20);
  EXPECT_EQ(parsed->options.metrics_listen, "");
  EXPECT_FALSE(parsed->options.reflection);
}

TEST(FlagsTest, HelpNamesEveryFlagDefaultAndVariable) {
  auto parsed = Parse({"--help"});
  ASSERT_THAT(parsed, IsOk());
  for (const Flag& flag : FlagTable()) {
    EXPECT_THAT(parsed->print_and_exit, HasSubstr("--" + flag.name));
    EXPECT_THAT(parsed->print_and_exit, HasSubstr("[" + flag.EnvironmentName() + "]"));
  }
  EXPECT_THAT(parsed->print_and_exit, HasSubstr("[default: 64MiB]"));
}

TEST(FlagsTest, VersionNeedsNoModel) {
  auto parsed = Parse({"--version"});
  ASSERT_THAT(parsed, IsOk());
  EXPECT_THAT(parsed->print_and_exit, HasSubstr("contexture-server "));
}

TEST(FlagsTest, MistakesNameTheirSourceAndWhatIsAllowed) {
  const std::map<std::string, std::string> bad_environment = {{"CONTEXTURE_DRAIN_GRACE", "soon"}};
  EXPECT_THAT(Parse({}), StatusIs(kInvalid, HasSubstr("--model")));
  EXPECT_THAT(Parse({"--model=m", "--max-queue-token=1"}),
              StatusIs(kInvalid, AllOf(HasSubstr("--max-queue-token"),
                                       HasSubstr("did you mean --max-queue-tokens?"))));
  EXPECT_THAT(
      Parse({"--model=m", "--precision=int4"}),
      StatusIs(kInvalid, AllOf(HasSubstr("--precision"), HasSubstr("f32"), HasSubstr("auto"))));
  EXPECT_THAT(
      Parse({"--model=m", "--threads=-1"}),
      StatusIs(kInvalid, AllOf(HasSubstr("--threads"), HasSubstr("'-1'"), HasSubstr("0 to 1024"))));
  EXPECT_THAT(Parse({"--model=m"}, bad_environment),
              StatusIs(kInvalid, AllOf(HasSubstr("CONTEXTURE_DRAIN_GRACE"), HasSubstr("'soon'"))));
  EXPECT_THAT(Parse({"--model=m", "--threads=1", "--threads=2"}),
              StatusIs(kInvalid, HasSubstr("threads")));
  EXPECT_THAT(Parse({"--config=/no/such/file"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/file")));
}

TEST(FlagsTest, BadFilesAreRefusedByKey) {
  EXPECT_THAT(ParseConfig("modell: m"),
              StatusIs(kInvalid, AllOf(HasSubstr("modell"), HasSubstr("did you mean model?"))));
  EXPECT_THAT(ParseConfig("threads: [1]"), StatusIs(kInvalid, HasSubstr("threads")));
  EXPECT_THAT(ParseConfig("threads: 1\nthreads: 2"), StatusIs(kInvalid, HasSubstr("twice")));
  EXPECT_THAT(ParseConfig("- a"), StatusIs(kInvalid, HasSubstr("mapping")));
  EXPECT_THAT(ParseConfig("a: [b"), StatusIs(kInvalid, HasSubstr("config file")));
  EXPECT_THAT(ParseConfig("model: [a, {b: c}]"), StatusIs(kInvalid, HasSubstr("model")));
  EXPECT_THAT(ParseConfig(""), IsOk());
}

TEST(FlagValuesTest, BytesTakeUnitsAndLimits) {
  EXPECT_EQ(*ParseBytes("64MiB", 1 << 30), 64 << 20);
  EXPECT_EQ(*ParseBytes("7", 1 << 30), 7);
  EXPECT_EQ(*ParseBytes("1GiB", 1 << 30), 1 << 30);
  for (const char* bad : {"", "0", "-1", "2GiB", "64MB", "9223372036854775807GiB", "MiB"}) {
    EXPECT_THAT(ParseBytes(bad, 1 << 30), StatusIs(kInvalid, HasSubstr("1GiB"))) << bad;
  }
  EXPECT_EQ(FormatBytes(64 << 20), "64MiB");
  EXPECT_EQ(FormatBytes(1000), "1000");
}

TEST(FlagValuesTest, TimesAreFiniteAndNotNegative) {
  EXPECT_EQ(*ParseTimeSpan("1m30s"), absl::Seconds(90));
  for (const char* bad : {"", "30", "-1s", "inf", "soon"}) {
    EXPECT_THAT(ParseTimeSpan(bad), StatusIs(kInvalid, HasSubstr("30s"))) << bad;
  }
}

TEST(FlagValuesTest, AddressesHaveAPort) {
  for (const char* good : {"0.0.0.0:50051", "[::]:0", "localhost:65535"}) {
    EXPECT_THAT(ParseAddress(good), IsOk()) << good;
  }
  for (const char* bad : {"", "localhost", ":1", "a:65536", "a:-1", "a:"}) {
    EXPECT_THAT(ParseAddress(bad), StatusIs(kInvalid, HasSubstr("address"))) << bad;
  }
}

}  // namespace
}  // namespace contexture
