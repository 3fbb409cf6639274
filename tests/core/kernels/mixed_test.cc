#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "core/kernels/mixed_kernels.h"
#include "core/kernels/mixed_linear.h"
#include "core/kernels/reference.h"
#include "tests/core/kernels/kernel_test_util.h"

namespace contexture::kernels::mixed {
namespace {

// Relative to the value, or to 1 for smaller ones: a factor in bfloat16 is off by up to 2e-3, in a
// split by 4e-6, and the sums here have tens of terms of order 1.
constexpr float kTolerance[] = {5e-2f, 1e-4f};

// A format and the instruction set that computes it.
struct Case {
  const char* name;
  Format format;
  Isa isa;
};

class MixedTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (DetectIsa() < GetParam().isa) {
      GTEST_SKIP() << "needs " << Name(GetParam().isa) << ", granted " << Name(DetectIsa());
    }
    kernels_ = mixed::GetKernels(format(), GetParam().isa);
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
    return kTolerance[format() == Format::kSplit] * std::max(1.0f, std::fabs(want));
  }

  // Floats [rows, columns] as activations, with the spare rows.
  AlignedBuffer<uint16_t> Activations(const AlignedBuffer<float>& x, int rows, int columns) const {
    const int stride = RowStride(format(), columns);
    AlignedBuffer<uint16_t> out(static_cast<size_t>(rows + kSpareRows) * stride);
    GetKernels()->convert(format(),
                          {x.data(), columns, out.data(), stride, columns, rows, columns});
    return out;
  }
  // What activations stand for.
  AlignedBuffer<float> Values(const AlignedBuffer<uint16_t>& x, int rows, int columns) const {
    const int stride = RowStride(format(), columns);
    AlignedBuffer<float> out(static_cast<size_t>(rows) * columns);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) {
        const uint16_t* at = x.data() + static_cast<size_t>(r) * stride + c;
        out[r * columns + c] = Widen(*at) + (format() == Format::kSplit ? Widen(at[columns]) : 0);
      }
    }
    return out;
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
    gemm.low_offset = columns;
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
    EXPECT_NEAR(back[i], x[i], std::fabs(x[i]) * (format() == Format::kSplit ? 0x1p-16f : 0x1p-8f));
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
    GetKernels()->gemm_activation(
        format(), gemm, {output.data(), stride, out, linear.bias(), Epilogue::kBiasGeluErf});
    const auto values = Values(output, rows, out);
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(values[i], want[i], Allowed(want[i])) << rows;
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
    GetKernels()->gemm_activation(format(),
                                  With(linear.Columns(0, out), activations, rows, in, format()),
                                  {output.data(), stride, out, linear.bias(), epilogue});
    const auto values = Values(output, rows, out);
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(values[i], want[i], Allowed(want[i])) << static_cast<int>(epilogue);
    }
  }
}

TEST_P(MixedTest, DepthInPartsAndColumnsInPartsGiveTheSameBits) {
  const int in = 128, out = 96, rows = 37;
  const auto weight = RandomFloats(in * out, 1), x = RandomFloats(rows * in, 2);
  const MixedLinear linear(format(), {{View(weight, out, in), {}}});
  const auto activations = Activations(x, rows, in);
  AlignedBuffer<float> whole(static_cast<size_t>(rows + kSpareRows) * out);
  AlignedBuffer<float> parts(whole.size());
  GetKernels()->gemm_float(format(), With(linear.Columns(0, out), activations, rows, in, format()),
                           {whole.data(), out, nullptr, false});
  for (int first : {0, 64}) {
    GemmArgs gemm = With(linear.Depth(first, 64), activations, rows, in, format());
    gemm.input += first;
    GetKernels()->gemm_float(format(), gemm, {parts.data(), out, nullptr, first != 0});
  }
  EXPECT_EQ(std::memcmp(whole.data(), parts.data(), sizeof(float) * rows * out), 0);
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
    GetKernels()->norm(format(), {norm, activations.data(), stride, size});
    norm.output = want.data();
    reference::Norm(norm);
    EXPECT_LE(MaxDifference(got, want), 5 * kElementwiseTolerance) << size;
    const auto values = Values(activations, rows, size);
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(values[i], want[i], Allowed(want[i]));
  }
}

constexpr Case kBf16Cases[] = {{"Bf16Avx512", Format::kBf16, Isa::kAvx512Bf16},
                               {"Bf16Amx", Format::kBf16, Isa::kAmx}};
constexpr Case kSplitAmx = {"SplitAmx", Format::kSplit, Isa::kAmx};
constexpr auto kCaseName = [](const auto& param) { return std::string(param.param.name); };

INSTANTIATE_TEST_SUITE_P(Bf16, MixedTest, testing::ValuesIn(kBf16Cases), kCaseName);
INSTANTIATE_TEST_SUITE_P(Split, MixedTest, testing::Values(kSplitAmx), kCaseName);

TEST(MixedKernelsTest, AFormatWithoutItsInstructionsHasNoKernels) {
  EXPECT_EQ(mixed::GetKernels(Format::kBf16, Isa::kAvx512Vnni), nullptr);
  EXPECT_EQ(mixed::GetKernels(Format::kSplit, Isa::kAvx512Bf16), nullptr);
}

class MixedAttentionTest : public MixedTest {};

TEST_P(MixedAttentionTest, EqualsReferenceForAllLengthsAndHeadSizes) {
  const int heads = 3;
  for (int head_size : {32, 64}) {
    const int size = heads * head_size, stride = 3 * size;
    for (int length : {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 100, 129, 512}) {
      const auto qkv = RandomFloats(static_cast<size_t>(length) * stride, length);
      AlignedBuffer<uint16_t> packed(static_cast<size_t>(length + kSpareRows) * stride);
      GetKernels()->convert(Format::kBf16,
                            {qkv.data(), stride, packed.data(), stride, 0, length, stride});
      const int context_stride = RowStride(Format::kBf16, size);
      AlignedBuffer<uint16_t> context(static_cast<size_t>(length) * context_stride);
      AlignedBuffer<char> scratch(AttentionScratchBytes(length, head_size));
      const float scale = 1.0f / std::sqrt(static_cast<float>(head_size));
      GetKernels()->attention({packed.data(), packed.data() + size, packed.data() + 2 * size,
                               context.data(), length, heads, head_size, stride, context_stride,
                               scale, scratch.data()});
      const auto got = Values(context, length, size);
      AlignedBuffer<float> want(static_cast<size_t>(length) * size);
      for (int h = 0; h < heads; ++h) {
        const float* q = qkv.data() + h * head_size;
        reference::Attend({.query = q,
                           .key = q + size,
                           .value = q + 2 * size,
                           .context = want.data() + h * head_size,
                           .query_length = length,
                           .key_length = length,
                           .head_size = head_size,
                           .stride = stride,
                           .context_stride = size,
                           .scale = scale,
                           .causal = false,
                           .scratch = nullptr});
      }
      EXPECT_LE(MaxDifference(got, want), Allowed(1))
          << "length " << length << " head " << head_size;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bf16, MixedAttentionTest, testing::ValuesIn(kBf16Cases), kCaseName);

}  // namespace
}  // namespace contexture::kernels::mixed
