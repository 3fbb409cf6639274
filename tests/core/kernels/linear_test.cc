#include "core/kernels/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "core/kernels/reference.h"
#include "tests/core/kernels/kernel_test_util.h"

namespace contexture::kernels {
namespace {

TensorView View(const AlignedBuffer<float>& data, absl::InlinedVector<int64_t, 4> shape) {
  return {DataType::kFloat32, std::move(shape), data.data()};
}

// Scaled so that outputs are of order 1.
AlignedBuffer<float> RandomWeights(int in, int out, int seed) {
  return RandomFloats(static_cast<size_t>(in) * out, seed,
                      1.0f / std::sqrt(static_cast<float>(in)));
}

class LinearTest : public testing::TestWithParam<LinearBackend> {
 protected:
  void SetUp() override {
    if (GetParam() == LinearBackend::kMicrokernel && DetectIsa() < Isa::kAvx2) {
      GTEST_SKIP() << "oneDNN has float micro-kernels from AVX2 on, this is " << Name(DetectIsa());
    }
  }
  static std::unique_ptr<Linear> Make(const LinearSpec& spec, std::vector<LinearPart> parts) {
    auto linear = MakeLinear(GetParam(), spec, parts);
    EXPECT_TRUE(linear.ok()) << linear.status();
    return linear.ok() ? *std::move(linear) : nullptr;
  }
};

TEST_P(LinearTest, EqualsReferenceForOddShapesAndAllRowCounts) {
  for (auto [in, out] : {std::pair{1, 1}, {4, 12}, {32, 96}, {100, 65}, {384, 128}, {2500, 70}}) {
    const auto weight = RandomWeights(in, out, 1), bias = RandomFloats(out, 2);
    auto linear = Make({in, out, in, out, Epilogue::kBiasGeluErf, DetectIsa()},
                       {{View(weight, {out, in}), View(bias, {out})}});
    ASSERT_NE(linear, nullptr);
    for (int rows : {1, 2, 5, 6, 7, 31, 32, 33, 64, 65, 66, 67, 129, 132, 265}) {
      const auto x = RandomFloats(static_cast<size_t>(rows) * in, 100 + rows);
      AlignedBuffer<float> got(static_cast<size_t>(rows) * out), want(got.size());
      linear->Run(x.data(), rows, got.data());
      reference::Multiply({x.data(), weight.data(), want.data(), rows, in, out});
      reference::ApplyEpilogue({want.data(), bias.data(), rows, out, out, Epilogue::kBiasGeluErf});
      EXPECT_LE(MaxDifference(got, want), kProductTolerance)
          << in << " -> " << out << ", rows " << rows;
    }
  }
}

TEST_P(LinearTest, PartsAreStackedInOrderAndAMissingBiasIsZero) {
  const int in = 24, out = 8;
  const auto first = RandomWeights(in, out, 1), second = RandomWeights(in, out, 2);
  const auto bias = RandomFloats(out, 3), x = RandomFloats(in, 4);
  auto linear = Make({in, 2 * out, in, 2 * out, Epilogue::kBias, DetectIsa()},
                     {{View(first, {out, in}), {}}, {View(second, {out, in}), View(bias, {out})}});
  ASSERT_NE(linear, nullptr);
  AlignedBuffer<float> got(2 * out), want(2 * out);
  linear->Run(x.data(), 1, got.data());
  reference::Multiply({x.data(), first.data(), want.data(), 1, in, out});
  reference::Multiply({x.data(), second.data(), want.data() + out, 1, in, out});
  for (int c = 0; c < out; ++c) want[out + c] += bias[c];
  EXPECT_LE(MaxDifference(got, want), kProductTolerance);
  EXPECT_EQ(linear->bias()[0], 0.0f);
  EXPECT_EQ(linear->bias()[out], bias[0]);
}

// The second is deep enough to be summed in parts.
TEST_P(LinearTest, RowsAreBitIdenticalAloneAndInAnyPosition) {
  for (const int in : {384, 2500}) {
    const int out = 200, rows = 150;
    const auto weight = RandomFloats(static_cast<size_t>(in) * out, 1), bias = RandomFloats(out, 2);
    const auto x = RandomFloats(static_cast<size_t>(rows) * in, 3);
    auto linear = Make({in, out, in, out, Epilogue::kBias, DetectIsa()},
                       {{View(weight, {out, in}), View(bias, {out})}});
    ASSERT_NE(linear, nullptr);
    AlignedBuffer<float> all(static_cast<size_t>(rows) * out), alone(out);
    linear->Run(x.data(), rows, all.data());
    for (int row = 0; row < rows; ++row) {
      linear->Run(x.data() + static_cast<size_t>(row) * in, 1, alone.data());
      ASSERT_EQ(
          std::memcmp(alone.data(), all.data() + static_cast<size_t>(row) * out, alone.bytes()), 0)
          << "row " << row << " of depth " << in;
    }
    AlignedBuffer<float> first(all.size());
    for (int count = 1; count <= 67; ++count) {  // each height of a tile
      linear->Run(x.data(), count, first.data());
      ASSERT_EQ(std::memcmp(first.data(), all.data(), sizeof(float) * count * out), 0)
          << count << " rows of depth " << in;
    }
  }
}

TEST_P(LinearTest, StridesLeaveTheGapsAlone) {
  const int in = 10, out = 70, rows = 3;
  const auto weight = RandomWeights(in, out, 1), x = RandomFloats(rows * 16, 3);
  auto linear =
      Make({in, out, 16, 80, Epilogue::kNone, DetectIsa()}, {{View(weight, {out, in}), {}}});
  ASSERT_NE(linear, nullptr);
  AlignedBuffer<float> got(rows * 80), want(out);
  std::fill(got.data(), got.data() + got.size(), 5.0f);
  linear->Run(x.data(), rows, got.data());
  for (int row = 0; row < rows; ++row) {
    reference::Multiply({x.data() + row * 16, weight.data(), want.data(), 1, in, out});
    for (int c = 0; c < 80; ++c) {
      EXPECT_NEAR(got[row * 80 + c], c < out ? want[c] : 5.0f, kProductTolerance);
    }
  }
}

TEST_P(LinearTest, RunningCreatesNoKernel) {
  const int in = 64, out = 64;
  const auto weight = RandomFloats(in * out, 1);
  auto linear =
      Make({in, out, in, out, Epilogue::kBias, DetectIsa()}, {{View(weight, {out, in}), {}}});
  ASSERT_NE(linear, nullptr);
  const size_t before = NumKernelsCreated();
  EXPECT_GT(before, 0u);
  AlignedBuffer<float> x(70 * in), y(70 * out);
  for (int rows = 1; rows <= 70; ++rows) linear->Run(x.data(), rows, y.data());
  EXPECT_EQ(NumKernelsCreated(), before);
}

INSTANTIATE_TEST_SUITE_P(Backends, LinearTest,
                         testing::Values(LinearBackend::kMicrokernel, LinearBackend::kMatmul),
                         [](const auto& param) {
                           return param.param == LinearBackend::kMicrokernel ? "Microkernel"
                                                                             : "Matmul";
                         });

}  // namespace
}  // namespace contexture::kernels
