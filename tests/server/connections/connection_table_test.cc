#include "server/connections/connection_table.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace contexture {
namespace {

using ::testing::Eq;

TEST(ConnectionTableTest, TotalAndPeerAreBoundedOnTheirOwn) {
  ConnectionTable table({.total = 3, .per_peer = 2});
  EXPECT_EQ(table.Add("a"), absl::nullopt);
  EXPECT_EQ(table.Add("a"), absl::nullopt);
  EXPECT_THAT(table.Add("a"), Eq(ConnectionRefusal::kPeer));
  EXPECT_EQ(table.Add("b"), absl::nullopt);
  EXPECT_THAT(table.Add("b"), Eq(ConnectionRefusal::kTotal));
  table.Remove("a");
  EXPECT_EQ(table.Add("b"), absl::nullopt);
  EXPECT_EQ(table.open(), 3);
}

TEST(ConnectionTableTest, ZeroIsNoBoundAndUnixSocketsHaveNoPeer) {
  ConnectionTable unbounded({});
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(unbounded.Add("a"), absl::nullopt);
  ConnectionTable table({.total = 10, .per_peer = 1});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(table.Add(""), absl::nullopt);
  EXPECT_THAT(table.Add(""), Eq(ConnectionRefusal::kTotal));
}

TEST(RateLimitTest, ASecondsWorthComesAtOnceThenOneByOne) {
  RateLimit rate(10, absl::Seconds(100));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(rate.Wait(absl::Seconds(100)), absl::ZeroDuration());
    rate.Spend();
  }
  EXPECT_NEAR(absl::ToDoubleSeconds(rate.Wait(absl::Seconds(100))), 0.1, 1e-9);
  EXPECT_EQ(rate.Wait(absl::Seconds(100) + absl::Milliseconds(101)), absl::ZeroDuration());
  rate.Spend();
  EXPECT_GT(rate.Wait(absl::Seconds(100) + absl::Milliseconds(102)), absl::ZeroDuration());
  EXPECT_EQ(rate.Wait(absl::Seconds(1000)), absl::ZeroDuration());
}

TEST(RateLimitTest, ZeroIsNoBound) {
  RateLimit rate(0, absl::ZeroDuration());
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(rate.Wait(absl::ZeroDuration()), absl::ZeroDuration());
    rate.Spend();
  }
}

}  // namespace
}  // namespace contexture
