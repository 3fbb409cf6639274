#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/kernels/mixed_kernels.h"
#include "core/kernels/mixed_linear.h"
#include "core/kernels/reference.h"
#include "tests/core/kernels/mixed_fixture.h"

namespace contexture::kernels::mixed {
namespace {

class Int8Test : public MixedTest {};

// Whole numbers that fill their range are kept, and 32-bit sums of them are exact.
TEST_P(Int8Test, ProductsOfIntegersAreExact) {
  const int in = 96, out = 64, rows = 30;
  AlignedBuffer<float> x(static_cast<size_t>(rows) * in), weight(static_cast<size_t>(out) * in);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = i % in == 0 ? 155.0f : i % in == 1 ? -100.0f : static_cast<float>(i * 31 % 256) - 100;
  }
  for (size_t i = 0; i < weight.size(); ++i) {
    weight[i] = i % in == 5 ? -127.0f : static_cast<float>(i * 37 % 255) - 127;
  }
  const MixedLinear linear(format(), {{View(weight, out, in), {}}});
  const auto activations = Activations(x, rows, in);
  AlignedBuffer<float> got(static_cast<size_t>(rows) * out);
  GetKernels()->gemm_float(format(), With(linear.Columns(0, out), activations, rows, in, format()),
                           {got.data(), out, nullptr, false});
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < out; ++c) {
      int64_t want = 0;
      for (int k = 0; k < in; ++k)
        want += std::lrint(x[r * in + k]) * std::lrint(weight[c * in + k]);
      ASSERT_EQ(std::lrint(got[r * out + c]), want) << r << " " << c;
    }
  }
}

// One input column is a thousand times as large as the others, which then lose their bits to it.
TEST_P(Int8Test, FactorsFromRangesKeepTheBitsOfSmallColumns) {
  const int in = 64, out = 64, rows = 20;
  auto x = RandomFloats(static_cast<size_t>(rows) * in, 1);
  auto weight = RandomFloats(static_cast<size_t>(out) * in, 2, 0.1f);
  for (int r = 0; r < rows; ++r) x[r * in + 7] *= 1000;
  for (int c = 0; c < out; ++c) weight[c * in + 7] *= 1e-3f;
  std::vector<float> ranges(in);
  for (size_t i = 0; i < x.size(); ++i) ranges[i % in] = std::max(ranges[i % in], std::fabs(x[i]));
  AlignedBuffer<float> want(static_cast<size_t>(rows) * out), got(want.size());
  reference::Multiply({x.data(), weight.data(), want.data(), rows, in, out});
  const auto error = [&](const MixedLinear& linear) {
    const int stride = RowStride(format(), in), low_offset = LowOffset(format(), in);
    AlignedBuffer<uint16_t> activations(static_cast<size_t>(rows + kSpareRows) * stride);
    GetKernels()->convert(format(), {x.data(), in, activations.data(), stride, low_offset, rows, in,
                                     linear.input_factors()});
    GetKernels()->gemm_float(format(),
                             With(linear.Columns(0, out), activations, rows, in, format()),
                             {got.data(), out, nullptr, false});
    return MaxDifference(got, want);
  };
  const float plain = error(MixedLinear(format(), {{View(weight, out, in), {}}}));
  const float scaled = error(MixedLinear(format(), {{View(weight, out, in), {}}}, {ranges}));
  EXPECT_LT(scaled, plain / 20);
}

// The weights of one group of inputs, which are 0 here, are a thousand times as large as those of
// the others, which would lose their bits in a common scale.
TEST_P(Int8Test, GroupsOfInputsKeepTheBitsOfSmallWeights) {
  const int in = 320, out = 64, rows = 37, group = 128;  // the last group has half as many
  auto x = RandomFloats(static_cast<size_t>(rows) * in, 1);
  auto weight = RandomFloats(static_cast<size_t>(out) * in, 2, 0.1f);
  for (size_t i = 0; i < x.size(); ++i) x[i] *= i % in / group == 1 ? 0.0f : 1.0f;
  for (size_t i = 0; i < weight.size(); ++i) weight[i] *= i % in / group == 1 ? 1000.0f : 1.0f;
  const auto activations = Activations(x, rows, in);
  AlignedBuffer<float> want(static_cast<size_t>(rows) * out), got(want.size());
  reference::Multiply({x.data(), weight.data(), want.data(), rows, in, out});
  const auto error = [&](int scale_depth) {
    const MixedLinear linear(format(), {{View(weight, out, in), {}}}, {{}, 0, scale_depth});
    GetKernels()->gemm_float(format(),
                             With(linear.Columns(0, out), activations, rows, in, format()),
                             {got.data(), out, nullptr, false});
    return MaxDifference(got, want);
  };
  EXPECT_LT(error(group), error(0) / 20);
}

TEST_P(Int8Test, AValueThatIsNotFiniteDoesNotVanishInAByte) {
  const int in = 32, out = 32;
  const auto weight = RandomFloats(in * out, 1);
  const MixedLinear linear(format(), {{View(weight, out, in), {}}});
  for (float wrong : {std::nanf(""), INFINITY, -INFINITY}) {
    auto x = RandomFloats(in, 2);
    x[9] = wrong;
    const auto activations = Activations(x, 1, in);
    AlignedBuffer<float> got(out);
    GetKernels()->gemm_float(format(), With(linear.Columns(0, out), activations, 1, in, format()),
                             {got.data(), out, nullptr, false});
    for (int c = 0; c < out; ++c) EXPECT_FALSE(std::isfinite(got[c])) << wrong;
  }
}

INSTANTIATE_TEST_SUITE_P(Int8, Int8Test, testing::ValuesIn(kInt8Cases), kCaseName);

}  // namespace
}  // namespace contexture::kernels::mixed
