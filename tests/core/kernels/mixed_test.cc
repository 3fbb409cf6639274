#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/kernels/mixed_kernels.h"
#include "core/kernels/mixed_linear.h"
#include "core/kernels/reference.h"
#include "tests/core/kernels/mixed_fixture.h"

namespace contexture::kernels::mixed {
namespace {

TEST_P(MixedTest, ConvertKeepsTheBitsOfItsFormat) {
  const auto x = RandomFloats(3 * 64, 1);
  const auto back = Values(Activations(x, 3, 64), 3, 64);
  for (size_t i = 0; i < x.size(); ++i) {
    const float* row = x.data() + i / 64 * 64;
    const auto [low, high] = std::minmax_element(row, row + 64);
    const float off = format() == Format::kSplit  ? std::fabs(x[i]) * 0x1p-16f
                      : format() == Format::kBf16 ? std::fabs(x[i]) * 0x1p-8f
                                                  : (*high - *low) / 255;  // half for zero's place
    EXPECT_NEAR(back[i], x[i], off);
  }
}

TEST_P(MixedTest, GemmsEqualReferenceForAllRowCounts) {
  const int in = 96, out = 128;
  const auto weight = RandomFloats(static_cast<size_t>(in) * out, 1, 1.0f / std::sqrt(96.0f));
  const auto bias = RandomFloats(out, 2);
  const MixedLinear linear(format(), {{View(weight, out, in), View(bias, out, 0)}});
  for (int rows : {1, 2, 15, 16, 17, 31, 32, 33, 49, 100}) {
    const auto x = RandomFloats(static_cast<size_t>(rows) * in, 10 + rows);
    AlignedBuffer<float> want(static_cast<size_t>(rows) * out);
    reference::Multiply({x.data(), weight.data(), want.data(), rows, in, out});
    const auto activations = Activations(x, rows, in);
    const GemmArgs gemm = With(linear.Columns(0, out), activations, rows, in, format());
    AlignedBuffer<float> floats(static_cast<size_t>(rows + kSpareRows) * out);
    GetKernels()->gemm_float(format(), gemm, {floats.data(), out, nullptr, false});
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(floats[i], want[i], Allowed(want[i])) << rows;

    reference::ApplyEpilogue({want.data(), bias.data(), rows, out, out, Epilogue::kBiasGeluErf});
    const int stride = RowStride(format(), out);
    AlignedBuffer<uint16_t> output(static_cast<size_t>(rows + kSpareRows) * stride);
    GetKernels()->gemm_activation(format(), gemm,
                                  {output.data(), stride, LowOffset(format(), out), linear.bias(),
                                   Epilogue::kBiasGeluErf, format()});
    const auto values = Values(output, rows, out);
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(values[i], want[i], Allowed(want[i])) << rows;
  }
}

// Widths that fill no panel are followed by zeros, in weights and in activations.
TEST_P(MixedTest, GemmsOfAnyWidthEqualReference) {
  const int rows = 14;
  for (const auto& [in, out] : {std::pair{36, 50}, std::pair{1, 3}, std::pair{100, 12}}) {
    const auto weight = RandomFloats(static_cast<size_t>(in) * out, 1, 0.2f);
    const auto bias = RandomFloats(out, 2);
    const auto x = RandomFloats(static_cast<size_t>(rows) * in, 3);
    const MixedLinear linear(format(), {{View(weight, out, in), View(bias, out, 0)}});
    const int width = linear.out_features();
    ASSERT_EQ(width, RoundUpToPanel(out));
    AlignedBuffer<float> want(static_cast<size_t>(rows) * out);
    reference::Multiply({x.data(), weight.data(), want.data(), rows, in, out});
    reference::ApplyEpilogue({want.data(), bias.data(), rows, out, out, Epilogue::kBias});
    AlignedBuffer<float> got(static_cast<size_t>(rows + kSpareRows) * width);
    const auto activations = Activations(x, rows, in);
    GetKernels()->gemm_float(format(),
                             With(linear.Columns(0, out), activations, rows, in, format()),
                             {got.data(), width, linear.bias(), false});
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < width; ++c) {
        const float expected = c < out ? want[r * out + c] : 0;
        ASSERT_NEAR(got[r * width + c], expected, Allowed(expected)) << in << " x " << out;
      }
    }
  }
}

TEST_P(MixedTest, AGatedProductIsTheActivatedGateTimesTheOther) {
  const int in = 64, rows = 21;
  for (int out : {32, 50, 96}) {
    const auto gate = RandomFloats(static_cast<size_t>(in) * out, 1, 0.1f);
    const auto up = RandomFloats(static_cast<size_t>(in) * out, 2, 0.1f);
    const auto gate_bias = RandomFloats(out, 3), up_bias = RandomFloats(out, 4);
    const auto x = RandomFloats(static_cast<size_t>(rows) * in, 5);
    const MixedLinear linear(format(),
                             {{View(gate, out, in), View(gate_bias, out, 0)},
                              {View(up, out, in), View(up_bias, out, 0)}},
                             {}, Stacking::kGated);
    ASSERT_EQ(linear.out_features(), 2 * RoundUpToPanel(out));
    const auto activations = Activations(x, rows, in);
    const int width = RoundUpToPanel(out), stride = RowStride(format(), width);
    for (Epilogue epilogue : {Epilogue::kBiasGeluErf, Epilogue::kBiasSilu, Epilogue::kBiasRelu}) {
      AlignedBuffer<float> want(rows * out), factor(rows * out);
      reference::Multiply({x.data(), gate.data(), want.data(), rows, in, out});
      reference::ApplyEpilogue({want.data(), gate_bias.data(), rows, out, out, epilogue});
      reference::Multiply({x.data(), up.data(), factor.data(), rows, in, out});
      reference::ApplyEpilogue({factor.data(), up_bias.data(), rows, out, out, Epilogue::kBias});
      AlignedBuffer<uint16_t> output(static_cast<size_t>(rows + kSpareRows) * stride);
      GetKernels()->gemm_activation(
          format(), With(linear.Columns(0, 2 * width), activations, rows, in, format()),
          {output.data(), stride, LowOffset(format(), width), linear.bias(), epilogue, format(),
           /*gated=*/true});
      const auto values = Values(output, rows, width);
      for (int r = 0; r < rows; ++r) {
        for (int c = 0; c < width; ++c) {
          const float expected = c < out ? want[r * out + c] * factor[r * out + c] : 0;
          // Two products are off, each by what one is.
          ASSERT_NEAR(values[r * width + c], expected, 2 * Allowed(expected)) << out;
        }
      }
    }
  }
}

TEST_P(MixedTest, EveryEpilogueEqualsReference) {
  const int in = 32, out = 64, rows = 20;
  const auto weight = RandomFloats(in * out, 1, 0.5f), bias = RandomFloats(out, 2);
  const auto x = RandomFloats(rows * in, 3);
  const MixedLinear linear(format(), {{View(weight, out, in), View(bias, out, 0)}});
  const auto activations = Activations(x, rows, in);
  const int stride = RowStride(format(), out);
  for (Epilogue epilogue : {Epilogue::kBias, Epilogue::kBiasGeluErf, Epilogue::kBiasGeluTanh,
                            Epilogue::kBiasRelu, Epilogue::kBiasSilu}) {
    AlignedBuffer<float> want(rows * out);
    reference::Multiply({x.data(), weight.data(), want.data(), rows, in, out});
    reference::ApplyEpilogue({want.data(), bias.data(), rows, out, out, epilogue});
    AlignedBuffer<uint16_t> output(static_cast<size_t>(rows + kSpareRows) * stride);
    GetKernels()->gemm_activation(
        format(), With(linear.Columns(0, out), activations, rows, in, format()),
        {output.data(), stride, LowOffset(format(), out), linear.bias(), epilogue, format()});
    const auto values = Values(output, rows, out);
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(values[i], want[i], Allowed(want[i])) << static_cast<int>(epilogue);
    }
  }
}

TEST_P(MixedTest, DepthInPartsAndColumnsInPartsGiveTheSameBits) {
  const int in = 128, out = 96, rows = 37;
  const auto weight = RandomFloats(in * out, 1), x = RandomFloats(rows * in, 2);
  const MixedLinear linear(format(), {{View(weight, out, in), {}}}, {{}, 0, 64});
  const auto activations = Activations(x, rows, in);
  AlignedBuffer<float> whole(static_cast<size_t>(rows + kSpareRows) * out);
  AlignedBuffer<float> parts(whole.size());
  GetKernels()->gemm_float(format(), With(linear.Columns(0, out), activations, rows, in, format()),
                           {whole.data(), out, nullptr, false});
  const bool bytes = format() == Format::kInt8;
  const MixedLinear chunked(format(), {{View(weight, out, in), {}}}, {{}, 64});
  for (int first : {0, 64}) {
    GemmArgs gemm = With(chunked.Depth(first, 64), activations, rows, in, format());
    const int elements = bytes ? first / 2 : first;
    gemm.input += elements;
    if (bytes) gemm.low_offset -= elements;
    GetKernels()->gemm_float(format(), gemm, {parts.data(), out, nullptr, first != 0});
  }
  if (bytes) {  // each part's exact sum is rounded to float
    EXPECT_LE(MaxDifference(whole, parts), 1e-3f);
  } else {
    EXPECT_EQ(std::memcmp(whole.data(), parts.data(), sizeof(float) * rows * out), 0);
  }
  AlignedBuffer<float> right(whole.size());
  GetKernels()->gemm_float(format(), With(linear.Columns(32, 64), activations, rows, in, format()),
                           {right.data() + 32, out, nullptr, false});
  for (int r = 0; r < rows; ++r) {
    EXPECT_EQ(std::memcmp(&whole[r * out + 32], &right[r * out + 32], 64 * sizeof(float)), 0);
  }
}

TEST_P(MixedTest, ARowHasTheSameBitsAloneAndAmongOthers) {
  const int in = 64, out = 64, rows = 50;
  const auto weight = RandomFloats(in * out, 1), x = RandomFloats(rows * in, 2);
  const MixedLinear linear(format(), {{View(weight, out, in), {}}});
  const auto activations = Activations(x, rows, in);
  AlignedBuffer<float> all(static_cast<size_t>(rows + kSpareRows) * out), alone(33 * out);
  GemmArgs gemm = With(linear.Columns(0, out), activations, rows, in, format());
  GetKernels()->gemm_float(format(), gemm, {all.data(), out, nullptr, false});
  for (int row = 0; row < rows; ++row) {
    gemm.input = activations.data() + static_cast<size_t>(row) * gemm.input_stride;
    gemm.rows = 1;
    GetKernels()->gemm_float(format(), gemm, {alone.data(), out, nullptr, false});
    ASSERT_EQ(std::memcmp(alone.data(), &all[row * out], out * sizeof(float)), 0) << row;
  }
}

TEST_P(MixedTest, NormEqualsReferenceAsFloatsAndActivations) {
  for (int size : {32, 96, 384, 416, 768}) {
    const int rows = 5, stride = RowStride(format(), size);
    const auto input = RandomFloats(rows * size, 1), residual = RandomFloats(rows * size, 2);
    const auto bias = RandomFloats(size, 3), gamma = RandomFloats(size, 4);
    const auto beta = RandomFloats(size, 5);
    AlignedBuffer<float> got(rows * size), want(rows * size);
    AlignedBuffer<uint16_t> activations(static_cast<size_t>(rows) * stride);
    kernels::NormArgs norm = {input.data(), bias.data(), residual.data(),
                              gamma.data(), beta.data(), got.data(),
                              rows,         size,        1e-12f};
    GetKernels()->norm(format(),
                       {norm, activations.data(), stride, LowOffset(format(), size), nullptr});
    norm.output = want.data();
    reference::Norm(norm);
    EXPECT_LE(MaxDifference(got, want), 5 * kElementwiseTolerance) << size;
    const auto values = Values(activations, rows, size);
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(values[i], want[i], Allowed(want[i]));
  }
}

// What pre-norm needs: the sum beside its norm, the input's own memory for the norm, no mean; in
// rows of any width.
TEST_P(MixedTest, NormKeepsTheSumAndTakesRowsOfAnyStride) {
  for (int size : {36, 384}) {
    const int rows = 9, input_stride = RoundUpToPanel(size), stride = RowStride(format(), size);
    const auto input = RandomFloats(rows * input_stride, 1), gamma = RandomFloats(size, 4);
    const auto bias = RandomFloats(size, 3);
    for (const bool mean : {false, true}) {
      auto projected = RandomFloats(rows * input_stride, 1), hidden = RandomFloats(rows * size, 2);
      AlignedBuffer<float> sum(rows * size), want(rows * size), beta(size);
      for (int r = 0; r < rows; ++r) {
        reference::Add({input.data() + r * input_stride, bias.data(), hidden.data() + r * size,
                        sum.data() + r * size, 1, size});
      }
      kernels::NormArgs norm = {sum.data(),  nullptr, nullptr, gamma.data(), beta.data(),
                                want.data(), rows,    size,    1e-6f,        mean};
      reference::Norm(norm);
      norm.input = projected.data();
      norm.bias = bias.data();
      norm.residual = hidden.data();
      norm.output = projected.data();
      AlignedBuffer<uint16_t> activations(static_cast<size_t>(rows) * stride);
      GetKernels()->norm(format(), {norm, activations.data(), stride, LowOffset(format(), size),
                                    nullptr, hidden.data(), input_stride, input_stride});
      EXPECT_LE(MaxDifference(hidden, sum), kElementwiseTolerance);
      const auto values = Values(activations, rows, size);
      for (int i = 0; i < rows * size; ++i) {
        EXPECT_NEAR(projected[i / size * input_stride + i % size], want[i],
                    5 * kElementwiseTolerance);
        EXPECT_NEAR(values[i], want[i], Allowed(want[i]));
      }
    }
  }
}

TEST_P(MixedTest, ANormedRowIsTheSameAloneAndAmongOthers) {
  for (int size : {36, 96, 384}) {
    const int rows = 9, stride = RowStride(format(), size);
    const auto input = RandomFloats(rows * size, 1), residual = RandomFloats(rows * size, 2);
    const auto bias = RandomFloats(size, 3), gamma = RandomFloats(size, 4);
    AlignedBuffer<float> together(rows * size), alone(rows * size);
    AlignedBuffer<uint16_t> row_together(static_cast<size_t>(rows) * stride);
    AlignedBuffer<uint16_t> row_alone(static_cast<size_t>(rows) * stride);
    const auto norm = [&](int first, int count, AlignedBuffer<float>& output,
                          AlignedBuffer<uint16_t>& activations) {
      const kernels::NormArgs args = {input.data() + first * size,
                                      bias.data(),
                                      residual.data() + first * size,
                                      gamma.data(),
                                      bias.data(),
                                      output.data() + first * size,
                                      count,
                                      size,
                                      1e-12f};
      const float* factors = format() == Format::kInt8 ? gamma.data() : nullptr;
      GetKernels()->norm(format(), {args, activations.data() + first * stride, stride,
                                    LowOffset(format(), size), factors});
    };
    norm(0, rows, together, row_together);
    for (int row = 0; row < rows; ++row) {
      norm(row, 1, alone, row_alone);
      ASSERT_EQ(std::memcmp(&alone[row * size], &together[row * size], size * sizeof(float)), 0);
      ASSERT_EQ(std::memcmp(&row_alone[row * stride], &row_together[row * stride],
                            stride * sizeof(uint16_t)),
                0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bf16, MixedTest, testing::ValuesIn(kBf16Cases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Int8, MixedTest, testing::ValuesIn(kInt8Cases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Split, MixedTest, testing::ValuesIn(kSplitCases), kCaseName);

TEST(MixedKernelsTest, AFormatWithoutItsInstructionsHasNoKernels) {
  EXPECT_EQ(mixed::GetKernels(Format::kBf16, Isa::kAvx512Vnni), nullptr);
  EXPECT_EQ(mixed::GetKernels(Format::kSplit, Isa::kAvx512Bf16), nullptr);
  EXPECT_EQ(mixed::GetKernels(Format::kInt8, Isa::kAvx512), nullptr);
}

}  // namespace
}  // namespace contexture::kernels::mixed
