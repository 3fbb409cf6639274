#include "server/metrics/exposer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "server/metrics/process_collector.h"
#include "server/metrics/registry.h"
#include "tests/server/metrics/http_client.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::HttpGet;
using test_support::IsOk;
using test_support::LocalConnection;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kAnyPort[] = "127.0.0.1:0";

// The families of an exposition, "NAME TYPE" each.
std::vector<std::string> Families(absl::string_view exposition) {
  std::vector<std::string> families;
  for (absl::string_view line : absl::StrSplit(exposition, '\n')) {
    if (absl::ConsumePrefix(&line, "# TYPE ")) families.emplace_back(line);
  }
  return families;
}

TEST(MetricsExposerTest, ScrapeHasTheFamiliesOfAllSources) {
  const ServerMetrics metrics;
  const auto exposer =
      MetricsExposer::Start(kAnyPort, {metrics.collectable(), NewProcessCollector()});
  ASSERT_THAT(exposer, IsOk());
  const std::string answer = HttpGet((*exposer)->port(), "/metrics");
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200 OK"), HasSubstr("text/plain")));
  EXPECT_THAT(
      Families(answer),
      IsSupersetOf({"contexture_requests_total counter", "contexture_queue_items gauge",
                    "contexture_batch_tokens histogram", "process_resident_memory_bytes gauge"}));
  EXPECT_THAT(answer, HasSubstr("contexture_requests_total{code=\"OK\",method=\"encode\"} 0\n"));
}

TEST(MetricsExposerTest, OtherPathsAreNotFound) {
  const auto exposer = MetricsExposer::Start(kAnyPort, {});
  ASSERT_THAT(exposer, IsOk());
  EXPECT_THAT(HttpGet((*exposer)->port(), "/"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(HttpGet((*exposer)->port(), "/../../etc/passwd"), Not(HasSubstr("root:")));
}

TEST(MetricsExposerTest, ScrapeGetsThroughHalfSentRequests) {
  const ServerMetrics metrics;
  const auto exposer = MetricsExposer::Start(kAnyPort, {metrics.collectable()});
  ASSERT_THAT(exposer, IsOk());
  const int port = (*exposer)->port();
  std::deque<LocalConnection> stuck;
  for (int i = 0; i < 12; ++i) stuck.emplace_back(port).Send("GET /metr");
  const absl::Time start = absl::Now();
  EXPECT_THAT(HttpGet(port, "/metrics"), HasSubstr("contexture_workers"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST(MetricsExposerTest, PortInUseIsNamed) {
  const auto first = MetricsExposer::Start(kAnyPort, {});
  ASSERT_THAT(first, IsOk());
  const std::string address = absl::StrCat("127.0.0.1:", (*first)->port());
  EXPECT_THAT(MetricsExposer::Start(address, {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(address)));
}

TEST(MetricsExposerTest, PortIsFreeAgainAfterTheEnd) {
  auto first = MetricsExposer::Start(kAnyPort, {});
  ASSERT_THAT(first, IsOk());
  const std::string address = absl::StrCat("127.0.0.1:", (*first)->port());
  first->reset();
  EXPECT_THAT(MetricsExposer::Start(address, {}), IsOk());
}

TEST(MetricsExposerTest, EndsAtOnceWhereverItListens) {
  for (const char* address : {"127.0.0.1:0", "0.0.0.0:0", "0"}) {
    auto exposer = MetricsExposer::Start(address, {});
    ASSERT_THAT(exposer, IsOk());
    const absl::Time start = absl::Now();
    exposer->reset();
    EXPECT_LT(absl::Now() - start, absl::Seconds(1)) << address;
  }
}

TEST(MetricsExposerTest, UnintelligibleAddressIsRefusedByName) {
  for (const char* address : {"", "localhost", ":9090", "127.0.0.1:", "127.0.0.1:65536", "9090s",
                              "127.0.0.1:80,127.0.0.1:81", "::1:9090", "127.0.0.1:-1", "1 2"}) {
    EXPECT_THAT(MetricsExposer::Start(address, {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(absl::StrCat("'", address, "'")), HasSubstr("65535"))));
  }
}

}  // namespace
}  // namespace contexture
