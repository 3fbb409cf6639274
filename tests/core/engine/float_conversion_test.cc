#include "core/engine/float_conversion.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace contexture {
namespace {

TEST(FloatConversionTest, Float16KnownValues) {
  EXPECT_EQ(ToFloat16(0.0f), 0x0000);
  EXPECT_EQ(ToFloat16(-0.0f), 0x8000);
  EXPECT_EQ(ToFloat16(1.0f), 0x3c00);
  EXPECT_EQ(ToFloat16(-2.5f), 0xc100);
  EXPECT_EQ(ToFloat16(65504.0f), 0x7bff);
  EXPECT_EQ(ToFloat16(65520.0f), 0x7c00);
  EXPECT_EQ(ToFloat16(0x1p-24f), 0x0001);
  EXPECT_EQ(ToFloat16(0x1p-25f), 0x0000);  // half way: to even
  EXPECT_EQ(ToFloat16(std::numeric_limits<float>::infinity()), 0x7c00);
  EXPECT_EQ(ToFloat16(NAN) & 0x7e00, 0x7e00);
}

// The compiler's own binary16 rounds to nearest even too.
TEST(FloatConversionTest, Float16EqualsTheCompilersForManyPatterns) {
  for (uint32_t i = 0; i < (1u << 20); ++i) {
    const float x = std::bit_cast<float>(i * 4099u);
    if (std::isnan(x)) continue;
    EXPECT_EQ(ToFloat16(x), std::bit_cast<uint16_t>(static_cast<_Float16>(x))) << x;
  }
}

TEST(FloatConversionTest, Bfloat16RoundsToNearestEven) {
  EXPECT_EQ(ToBfloat16(1.0f), 0x3f80);
  EXPECT_EQ(ToBfloat16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // half way down to even
  EXPECT_EQ(ToBfloat16(std::bit_cast<float>(0x3f818000u)), 0x3f82);  // half way up to even
  EXPECT_EQ(ToBfloat16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(ToBfloat16(std::numeric_limits<float>::infinity()), 0x7f80);
  EXPECT_EQ(ToBfloat16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);  // NaN stays NaN
}

TEST(FloatConversionTest, Int8IsScaledRoundedAndClamped) {
  EXPECT_EQ(ToInt8(1.0f), 127);
  EXPECT_EQ(ToInt8(-1.0f), -127);
  EXPECT_EQ(ToInt8(3.0f), 127);
  EXPECT_EQ(ToInt8(0.5f), 64);  // 63.5: to even
  EXPECT_EQ(ToInt8(NAN), 0);
}

TEST(FloatConversionTest, RangedInt8IsRoundedDownAndClamped) {
  const float minimum = -1.0f, step = 1.0f / 128.0f;
  EXPECT_EQ(ToRangedInt8(-1.0f, minimum, step), -128);
  EXPECT_EQ(ToRangedInt8(-64.25f / 128.0f, minimum, step), -65);
  EXPECT_EQ(ToRangedInt8(-0.5f / 128.0f, minimum, step), -1);
  EXPECT_EQ(ToRangedInt8(63.75f / 128.0f, minimum, step), 63);
  EXPECT_EQ(ToRangedInt8(127.0f / 128.0f, minimum, step), 127);
  EXPECT_EQ(ToRangedInt8(-7.0f, minimum, step), -128);
  EXPECT_EQ(ToRangedInt8(7.0f, minimum, step), 127);
  EXPECT_EQ(ToRangedInt8(NAN, minimum, step), 0);
}

// numpy.packbits([1, 0, 0, 1, 1, 0, 0, 0, 1, 0]) is [152, 128].
TEST(FloatConversionTest, BitsArePackedFromTheHighestOn) {
  const float values[] = {1.0f, -1.0f, 0.0f, 0.1f, 2.0f, -0.0f, -5.0f, NAN, 1e-30f, -1.0f};
  char bytes[3] = {0, 0, 77};
  WriteElements(values, 10, DataType::kBinary, bytes);
  EXPECT_EQ(static_cast<uint8_t>(bytes[0]), 152);
  EXPECT_EQ(static_cast<uint8_t>(bytes[1]), 128);
  EXPECT_EQ(bytes[2], 77);
}

TEST(FloatConversionTest, ElementsAreWrittenUnaligned) {
  char bytes[1 + 3 * sizeof(float)];
  const float values[] = {1.0f, -2.0f, 0.25f};
  WriteElements(values, 3, DataType::kFloat32, bytes + 1);
  EXPECT_EQ(std::memcmp(bytes + 1, values, sizeof(values)), 0);
  WriteElements(values, 3, DataType::kInt8, bytes + 1);
  EXPECT_EQ(static_cast<int8_t>(bytes[3]), 32);
}

}  // namespace
}  // namespace contexture
