#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

#include "core/kernels/mixed_kernels.h"
#include "core/tensor/tensor_view.h"
#include "tests/core/kernels/emulation/emulated_kernels.h"
#include "tests/core/kernels/kernel_test_util.h"

namespace contexture::kernels::mixed {

// Relative to the value, or to 1 for smaller ones: a factor in bfloat16 is off by up to 2e-3, in a
// split by 4e-6, in a byte by 1 / 510 of its row's range, and the sums here have tens of terms of
// order 1.
constexpr float ToleranceOf(Format format) {
  return format == Format::kBf16 ? 5e-2f : format == Format::kSplit ? 1e-4f : 1e-1f;
}

// A format and the instruction set that computes it; `emulated`: its tile instructions are.
struct MixedCase {
  const char* name;
  Format format;
  Isa isa;
  bool emulated = false;
};

class MixedTest : public testing::TestWithParam<MixedCase> {
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

inline constexpr MixedCase kBf16Cases[] = {{"Bf16Avx512", Format::kBf16, Isa::kAvx512Bf16},
                                           {"Bf16Amx", Format::kBf16, Isa::kAmx},
                                           {"Bf16EmulatedAmx", Format::kBf16, Isa::kAmx, true}};
inline constexpr MixedCase kInt8Cases[] = {{"Int8Vnni", Format::kInt8, Isa::kAvx512Vnni},
                                           {"Int8WithBf16", Format::kInt8, Isa::kAvx512Bf16},
                                           {"Int8Amx", Format::kInt8, Isa::kAmx},
                                           {"Int8EmulatedAmx", Format::kInt8, Isa::kAmx, true}};
inline constexpr MixedCase kSplitCases[] = {{"SplitAmx", Format::kSplit, Isa::kAmx},
                                            {"SplitEmulatedAmx", Format::kSplit, Isa::kAmx, true}};
inline constexpr auto kCaseName = [](const auto& param) { return std::string(param.param.name); };

}  // namespace contexture::kernels::mixed
