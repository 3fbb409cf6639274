#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/kernels/mixed_kernels.h"
#include "core/kernels/mixed_linear.h"
#include "core/kernels/reference.h"
#include "tests/core/kernels/emulation/emulated_kernels.h"
#include "tests/core/kernels/kernel_test_util.h"

namespace contexture::kernels::mixed {
namespace {

// Relative to the value, or to 1 for smaller ones: a factor in bfloat16 is off by up to 2e-3, in a
// split by 4e-6, in a byte by 1 / 510 of its row's range, and the sums here have tens of terms of
// order 1.
constexpr float ToleranceOf(Format format) {
  return format == Format::kBf16 ? 5e-2f : format == Format::kSplit ? 1e-4f : 1e-1f;
}

// A format and the instruction set that computes it; `emulated`: its tile instructions are.
struct Case {
  const char* name;
  Format format;
  Isa isa;
  bool emulated = false;
};

class MixedTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Isa needed = GetParam().emulated ? Isa::kAvx512Bf16 : GetParam().isa;
    if (DetectIsa() < needed) {
      GTEST_SKIP() << "needs " << Name(needed) << ", granted " << Name(DetectIsa());
    }
    kernels_ = GetParam().emulated ? EmulatedAmxKernels(format())
                                   : mixed::GetKernels(format(), GetParam().isa);
    ASSERT_NE(kernels_, nullptr);
    ASSERT_EQ(kernels_->isa, GetParam().isa);
    kernels_->acquire_tiles();
  }
  void TearDown() override {
    if (kernels_ != nullptr) kernels_->release_tiles();
  }
  Format format() const { return GetParam().format; }
  const Kernels* GetKernels() const { return kernels_; }
  float Allowed(float want) const {
    return ToleranceOf(format()) * std::max(1.0f, std::fabs(want));
  }

  // Floats [rows, columns] as activations, with the spare rows.
  AlignedBuffer<uint16_t> Activations(const AlignedBuffer<float>& x, int rows, int columns) const {
    const int stride = RowStride(format(), columns);
    AlignedBuffer<uint16_t> out(static_cast<size_t>(rows + kSpareRows) * stride);
    GetKernels()->convert(format(), {.input = x.data(),
                                     .input_stride = columns,
                                     .output = out.data(),
                                     .stride = stride,
                                     .low_offset = LowOffset(format(), columns),
                                     .rows = rows,
                                     .columns = columns,
                                     .factors = nullptr});
    return out;
  }
  // What activations stand for.
  AlignedBuffer<float> Values(const AlignedBuffer<uint16_t>& x, int rows, int columns) const {
    const int stride = RowStride(format(), columns);
    AlignedBuffer<float> out(static_cast<size_t>(rows) * columns);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) {
        const uint16_t* row = x.data() + static_cast<size_t>(r) * stride;
        const float low =
            format() == Format::kSplit ? Widen(row[c + LowOffset(Format::kSplit, columns)]) : 0;
        out[r * columns + c] =
            format() == Format::kInt8 ? Dequantize(row, c, columns) : Widen(row[c]) + low;
      }
    }
    return out;
  }
  static float Dequantize(const uint16_t* row, int column, int columns) {
    Quantization quantization;
    std::memcpy(&quantization, row + LowOffset(Format::kInt8, columns), sizeof(quantization));
    const int value = reinterpret_cast<const uint8_t*>(row)[column];
    return quantization.scale * static_cast<float>(value - quantization.zero);
  }
  static float Widen(uint16_t x) {
    const uint32_t bits = static_cast<uint32_t>(x) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  static TensorView View(const AlignedBuffer<float>& data, int64_t rows, int64_t columns) {
    if (columns == 0) return {DataType::kFloat32, {rows}, data.data()};
    return {DataType::kFloat32, {rows, columns}, data.data()};
  }
  static GemmArgs With(GemmArgs gemm, const AlignedBuffer<uint16_t>& x, int rows, int columns,
                       Format format) {
    gemm.input = x.data();
    gemm.input_stride = RowStride(format, columns);
    gemm.low_offset = LowOffset(format, columns);
    gemm.rows = rows;
    return gemm;
  }

 private:
  const Kernels* kernels_ = nullptr;
};

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
    const int rows = 3, input_stride = RoundUpToPanel(size), stride = RowStride(format(), size);
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

constexpr Case kBf16Cases[] = {{"Bf16Avx512", Format::kBf16, Isa::kAvx512Bf16},
                               {"Bf16Amx", Format::kBf16, Isa::kAmx},
                               {"Bf16EmulatedAmx", Format::kBf16, Isa::kAmx, true}};
constexpr Case kInt8Cases[] = {{"Int8Vnni", Format::kInt8, Isa::kAvx512Vnni},
                               {"Int8WithBf16", Format::kInt8, Isa::kAvx512Bf16},
                               {"Int8Amx", Format::kInt8, Isa::kAmx},
                               {"Int8EmulatedAmx", Format::kInt8, Isa::kAmx, true}};
constexpr Case kSplitCases[] = {{"SplitAmx", Format::kSplit, Isa::kAmx},
                                {"SplitEmulatedAmx", Format::kSplit, Isa::kAmx, true}};
constexpr auto kCaseName = [](const auto& param) { return std::string(param.param.name); };

INSTANTIATE_TEST_SUITE_P(Bf16, MixedTest, testing::ValuesIn(kBf16Cases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Int8, MixedTest, testing::ValuesIn(kInt8Cases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Split, MixedTest, testing::ValuesIn(kSplitCases), kCaseName);

TEST(MixedKernelsTest, AFormatWithoutItsInstructionsHasNoKernels) {
  EXPECT_EQ(mixed::GetKernels(Format::kBf16, Isa::kAvx512Vnni), nullptr);
  EXPECT_EQ(mixed::GetKernels(Format::kSplit, Isa::kAvx512Bf16), nullptr);
  EXPECT_EQ(mixed::GetKernels(Format::kInt8, Isa::kAvx512), nullptr);
}

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

// What a family adds to the attention of BERT.
struct Variant {
  const char* name;
  int key_value_heads = 3;
  bool causal = false;
  int window = 0;
  bool alibi = false;
  bool distance = false;
};
constexpr int kHeads = 3;

class MixedAttentionTest : public MixedTest {
 protected:
  // The first KEYS tokens are attended to; 0: all.
  void ExpectEqualsReference(const Variant& variant, int head_size, int length, int keys = 0) {
    const int size = kHeads * head_size, key_size = variant.key_value_heads * head_size;
    const int stride = size + 2 * key_size;
    const auto qkv = RandomFloats(static_cast<size_t>(length) * stride, length);
    AlignedBuffer<uint16_t> packed(static_cast<size_t>(length + kSpareRows) * stride);
    GetKernels()->convert(Format::kBf16,
                          {qkv.data(), stride, packed.data(), stride, 0, length, stride, nullptr});
    const int context_stride = RowStride(Format::kBf16, size);
    AlignedBuffer<uint16_t> context(static_cast<size_t>(length) * context_stride);
    AlignedBuffer<char> scratch(AttentionScratchBytes(length, head_size));
    const float slopes[kHeads] = {0.5f, 0.1f, 0.01f};
    const size_t distances = 2 * static_cast<size_t>(length) - 1;
    const auto bias = RandomFloats(kHeads * distances, 7);
    const float scale = 1.0f / std::sqrt(static_cast<float>(head_size));
    GetKernels()->attention(
        {.query = packed.data(),
         .key = packed.data() + size,
         .value = packed.data() + size + key_size,
         .context = context.data(),
         .length = length,
         .heads = kHeads,
         .head_size = head_size,
         .stride = stride,
         .context_stride = context_stride,
         .scale = scale,
         .scratch = scratch.data(),
         .key_value_heads = variant.key_value_heads,
         .causal = variant.causal,
         .window = variant.window,
         .alibi_slopes = variant.alibi ? slopes : nullptr,
         .distance_bias = variant.distance ? bias.data() + distances / 2 : nullptr,
         .distance_stride = distances,
         .key_length = keys});
    const auto got = Values(context, length, size);
    AlignedBuffer<float> want(static_cast<size_t>(length) * size);
    for (int h = 0; h < kHeads; ++h) {
      const int key_head = h * variant.key_value_heads / kHeads;
      const float* key = qkv.data() + size + key_head * head_size;
      reference::Attend({.query = qkv.data() + h * head_size,
                         .key = key,
                         .value = key + key_size,
                         .context = want.data() + h * head_size,
                         .query_length = length,
                         .key_length = keys == 0 ? length : keys,
                         .head_size = head_size,
                         .stride = stride,
                         .context_stride = size,
                         .scale = scale,
                         .causal = variant.causal,
                         .scratch = nullptr,
                         .alibi_slope = variant.alibi ? slopes[h] : 0.0f,
                         .window = variant.window,
                         .distance_bias = variant.distance
                                              ? bias.data() + h * distances + distances / 2
                                              : nullptr});
    }
    EXPECT_LE(MaxDifference(got, want), Allowed(1))
        << variant.name << " length " << length << " keys " << keys << " head " << head_size;
  }
};

TEST_P(MixedAttentionTest, EqualsReferenceForAllLengthsAndHeadSizes) {
  for (int head_size : {32, 64, 96, 128, 256}) {
    for (int length : {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 100, 129, 512}) {
      if (head_size > 64 && length > 129) continue;
      ExpectEqualsReference({"plain"}, head_size, length);
    }
  }
}

TEST_P(MixedAttentionTest, MasksBiasesAndSharedKeysEqualReference) {
  constexpr Variant kVariants[] = {{.name = "grouped", .key_value_heads = 1},
                                   {.name = "causal", .causal = true},
                                   {.name = "window", .window = 5},
                                   {.name = "wide window", .window = 64},
                                   {.name = "causal window", .causal = true, .window = 20},
                                   {.name = "alibi", .alibi = true},
                                   {.name = "distance", .distance = true},
                                   {.name = "all",
                                    .key_value_heads = 1,
                                    .causal = true,
                                    .window = 33,
                                    .alibi = true,
                                    .distance = true}};
  for (const Variant& variant : kVariants) {
    for (int head_size : {32, 64}) {
      for (int length : {1, 6, 32, 47, 100, 201}) {
        ExpectEqualsReference(variant, head_size, length);
      }
    }
  }
}

TEST_P(MixedAttentionTest, FewerKeysThanQueriesEqualReference) {
  constexpr Variant kVariants[] = {{.name = "plain"},
                                   {.name = "causal", .causal = true},
                                   {.name = "window", .window = 100},
                                   {.name = "distance", .distance = true},
                                   {.name = "grouped", .key_value_heads = 1}};
  for (const Variant& variant : kVariants) {
    for (int head_size : {32, 64}) {
      for (int length : {2, 17, 32, 33, 64, 100}) {
        for (int keys : {1, 2, 15, 16, 31, 33, 63}) {
          if (keys < length) ExpectEqualsReference(variant, head_size, length, keys);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bf16, MixedAttentionTest, testing::ValuesIn(kBf16Cases), kCaseName);

}  // namespace
}  // namespace contexture::kernels::mixed
