#include "server/services/usage_tally.h"

#include "gtest/gtest.h"

namespace contexture {
namespace {

constexpr TaskReport kCached = {.cached = true};

TaskReport Computed(absl::Duration queue_time) {
  return {.queue_time = queue_time, .compute_time = absl::Milliseconds(2), .batch_tokens = 8};
}

TEST(UsageTallyTest, CachedTasksHideNoComputedOneThatDidNotWait) {
  UsageTally tally;
  EXPECT_TRUE(tally.longest_wait().cached);
  EXPECT_FALSE(tally.Add(kCached, 3));
  EXPECT_TRUE(tally.longest_wait().cached);
  EXPECT_TRUE(tally.Add(Computed(absl::ZeroDuration()), 4));
  EXPECT_FALSE(tally.Add(kCached, 3));
  EXPECT_FALSE(tally.longest_wait().cached);
  EXPECT_EQ(tally.longest_wait().compute_time, absl::Milliseconds(2));
}

TEST(UsageTallyTest, BatchesCountOnceAndTheLongestWaitIsKept) {
  UsageTally tally;
  EXPECT_TRUE(tally.Add(Computed(absl::Milliseconds(5)), 4));
  EXPECT_FALSE(tally.Add(Computed(absl::Milliseconds(1)), 2));
  const v1::Usage usage = tally.usage();
  EXPECT_DOUBLE_EQ(usage.queue_seconds(), 0.005);
  EXPECT_DOUBLE_EQ(usage.compute_seconds(), 0.002);
  EXPECT_DOUBLE_EQ(usage.compute_share_seconds(), 0.0015);
}

}  // namespace
}  // namespace contexture
