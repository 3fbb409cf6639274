#include "server/batching/batch_size_controller.h"

#include <gtest/gtest.h>

namespace contexture {
namespace {

constexpr absl::Duration kTarget = absl::Milliseconds(50);

class BatchSizeControllerTest : public testing::Test {
 protected:
  // LATE of each 100 requests are late.
  void Observe(int requests, int late) {
    for (int i = 0; i < requests; ++i) {
      controller_.Observe(i % 100 < late ? 2 * kTarget : kTarget / 2);
    }
  }

  BatchSizeController controller_{{.target = kTarget, .smallest = 32, .largest = 512}};
};

TEST_F(BatchSizeControllerTest, BeginsWithTheLargestAndStaysWhileAllAreInTime) {
  EXPECT_EQ(controller_.tokens(), 512);
  Observe(10000, 0);
  EXPECT_EQ(controller_.tokens(), 512);
}

TEST_F(BatchSizeControllerTest, ShrinksAsSoonAsTooManyAreLate) {
  for (int i = 0; i < 3; ++i) controller_.Observe(2 * kTarget);
  EXPECT_EQ(controller_.tokens(), 512);
  controller_.Observe(2 * kTarget);
  EXPECT_EQ(controller_.tokens(), 384);
  Observe(5000, 20);
  EXPECT_EQ(controller_.tokens(), 32);
}

TEST_F(BatchSizeControllerTest, GrowsAgainWhenHardlyAnyIsLate) {
  Observe(5000, 20);
  Observe(BatchSizeController::kWindow + 300, 0);
  EXPECT_GE(controller_.tokens(), 32 + 32);
  Observe(20000, 0);
  EXPECT_EQ(controller_.tokens(), 512);
}

TEST_F(BatchSizeControllerTest, WithoutTargetTheSizeIsAlwaysTheLargest) {
  BatchSizeController controller({.largest = 256});
  for (int i = 0; i < 1000; ++i) controller.Observe(absl::Hours(1));
  EXPECT_EQ(controller.tokens(), 256);
}

}  // namespace
}  // namespace contexture
