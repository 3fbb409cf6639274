#include "core/base/denormals.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

namespace contexture {
namespace {

#if defined(__x86_64__)
// In memory, so that the compiler computes nothing itself.
volatile float smallest_normal = std::numeric_limits<float>::min();
volatile float denormal = std::numeric_limits<float>::denorm_min();

TEST(FlushDenormalsTest, ResultsAndOperandsBecomeZeroInThisThreadOnly) {
  std::thread([] {
    FlushDenormals();
    EXPECT_EQ(smallest_normal * 0.5f, 0.0f) << "a denormal result";
    volatile float large = 1e30f;
    EXPECT_EQ(denormal * large, 0.0f) << "a denormal operand";
  }).join();
  EXPECT_NE(smallest_normal * 0.5f, 0.0f);
}
#endif

}  // namespace
}  // namespace contexture
