#include "server/log.h"

#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace contexture {
namespace {

const absl::Time kTime = absl::FromUnixMillis(1700000000123);

TEST(LogTest, TextQuotesWhatIsNotAPlainWord) {
  EXPECT_EQ(FormatLine(LogFormat::kText, kTime, Severity::kInfo, "serving",
                       {{"port", "50051"}, {"cpu", "A B"}, {"empty", ""}}),
            "2023-11-14T22:13:20.123Z info serving port=50051 cpu=\"A B\" empty=\"\"\n");
}

TEST(LogTest, LineStaysOneLine) {
  for (LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    const std::string line =
        FormatLine(format, kTime, Severity::kError, "x", {{"k", "a\nb\x01\xff\"\\"}});
    EXPECT_EQ(line.find('\n'), line.size() - 1);
  }
}

TEST(LogTest, JsonIsAnObject) {
  const auto line = nlohmann::json::parse(
      FormatLine(LogFormat::kJson, kTime, Severity::kWarning, "drain", {{"grace", "30s"}}));
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["event"], "drain");
  EXPECT_EQ(line["grace"], "30s");
  EXPECT_EQ(line["time"], "2023-11-14T22:13:20.123Z");
}

TEST(LogTest, LoggerWritesToItsDescriptorAndSurvivesABadOne) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Logger(LogFormat::kText, ends[1]).Info("hello");
  char buffer[100] = {};
  ASSERT_GT(::read(ends[0], buffer, sizeof(buffer) - 1), 0);
  EXPECT_THAT(buffer, ::testing::HasSubstr("info hello\n"));
  ::close(ends[0]);
  ::close(ends[1]);
  Logger(LogFormat::kText, -1).Info("lost");
}

}  // namespace
}  // namespace contexture
