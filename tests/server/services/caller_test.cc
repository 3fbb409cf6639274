#include "server/services/caller.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/batching/batching_fakes.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::HasSubstr;

TEST(CheckStillWantedTest, CallerWaitsUntilHeLeavesOrTheDeadlineComes) {
  test_support::ManualClock clock;
  const absl::Duration deadline = clock.Now() + absl::Seconds(1);
  std::atomic<bool> cancelled = false;
  EXPECT_THAT(CheckStillWanted(nullptr, deadline, clock), IsOk());
  EXPECT_THAT(CheckStillWanted(&cancelled, deadline, clock), IsOk());
  cancelled = true;
  EXPECT_THAT(CheckStillWanted(&cancelled, deadline, clock),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("caller")));
  clock.Advance(absl::Seconds(1));
  EXPECT_THAT(CheckStillWanted(nullptr, deadline, clock),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("deadline")));
  EXPECT_THAT(CheckStillWanted(nullptr, absl::InfiniteDuration(), clock), IsOk());
}

}  // namespace
}  // namespace contexture
