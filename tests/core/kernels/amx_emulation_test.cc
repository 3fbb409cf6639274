// The AMX kernels on machines without AMX: their sources compiled over an emulation of the tile
// instructions (emulation/). mixed_test.cc compares them with the plain loops; here are the
// emulation itself and what must have the same bits as other kernels.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "core/kernels/mixed_kernels.h"
#include "core/kernels/mixed_linear.h"
#include "tests/core/kernels/emulation/emulated_kernels.h"
#include "tests/core/kernels/emulation/tiles.h"
#include "tests/core/kernels/kernel_test_util.h"

namespace contexture::kernels::mixed {
namespace {

// Tile 0: 3 x 2 sums, tile 1: 3 rows of 8 bytes, tile 2: 2 rows of 8 bytes.
class TilesTest : public testing::Test {
 protected:
  TilesTest() {
    uint8_t config[64] = {1};
    const int rows[] = {3, 3, 2}, bytes[] = {8, 8, 8};
    for (int t = 0; t < 3; ++t) {
      config[16 + 2 * t] = static_cast<uint8_t>(bytes[t]);
      config[48 + t] = static_cast<uint8_t>(rows[t]);
    }
    emulation::LoadTileConfig(config);
  }
  ~TilesTest() override { emulation::ReleaseTiles(); }
};

TEST_F(TilesTest, LoadsAndStoresRowsOfTheConfiguredSizeAlone) {
  uint8_t from[40], to[40];
  for (int i = 0; i < 40; ++i) from[i] = static_cast<uint8_t>(i + 1);
  std::memset(to, 0, sizeof(to));
  emulation::LoadTile(1, from, 10);
  emulation::StoreTile(1, to, 12);
  for (int i = 0; i < 40; ++i) {
    const bool inside = i / 12 < 3 && i % 12 < 8;
    EXPECT_EQ(to[i], inside ? from[i / 12 * 10 + i % 12] : 0) << i;
  }
}

TEST_F(TilesTest, BytesAreMultipliedUnsignedBySignedWithoutSaturation) {
  // Row m of the left by column n of the right, 2 units of 4 bytes deep.
  const uint8_t left[3][8] = {{255, 255, 255, 255, 255, 255, 255, 255},
                              {1, 2, 3, 4, 5, 6, 7, 8},
                              {0, 0, 0, 128, 0, 0, 0, 0}};
  const int8_t right[2][8] = {{-128, -128, -128, -128, 1, 2, 3, 4},
                              {-128, -128, -128, -128, 5, 6, 7, 8}};
  const int32_t begin[3][2] = {{1, 2}, {3, 4}, {5, INT32_MAX}};
  int32_t sums[3][2];
  emulation::LoadTile(0, begin, 8);
  emulation::LoadTile(1, left, 8);
  emulation::LoadTile(2, right, 8);
  emulation::DotBytes(0, 1, 2);
  emulation::StoreTile(0, sums, 8);
  EXPECT_EQ(sums[0][0], 1 - 8 * 255 * 128);
  EXPECT_EQ(sums[0][1], 2 + 255 * 36);
  EXPECT_EQ(sums[1][0], 3 - 36 * 128);
  EXPECT_EQ(sums[1][1], 4 + 204);
  EXPECT_EQ(sums[2][0], 5 - 128 * 128);
  EXPECT_EQ(sums[2][1], INT32_MIN + 511);  // wraps
}

TEST_F(TilesTest, BfloatsAddEvenAndOddElementsApartAndThenBoth) {
  const auto bf16 = [](float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return static_cast<uint16_t>(bits >> 16);
  };
  // 2^24 + 1 - 2^24 keeps the 1 only where the large ones meet before it.
  const float large = 16777216.0f;
  uint16_t left[3][4], right[2][4];
  const float lefts[4] = {large, 1, -large, 1};
  for (auto& row : left) {
    for (int i = 0; i < 4; ++i) row[i] = bf16(lefts[i]);
  }
  for (auto& row : right) {
    for (auto& x : row) x = bf16(1);
  }
  right[1][3] = 1;  // a denormal: counts as zero
  const float begin[3][2] = {{0.25f, 0}, {0, 0}, {0, 0}};
  float sums[3][2];
  emulation::LoadTile(0, begin, 8);
  emulation::LoadTile(1, left, 8);
  emulation::LoadTile(2, right, 8);
  emulation::DotBfloats(0, 1, 2);
  emulation::StoreTile(0, sums, 8);
  EXPECT_EQ(sums[0][0], 2.25f);
  EXPECT_EQ(sums[1][1], 1.0f);
}

TEST(TilesDeathTest, WhatTheProcessorRefusesAborts) {
  emulation::ReleaseTiles();
  EXPECT_DEATH(emulation::ZeroTile(0), "#UD: tile is not configured");
  uint8_t config[64] = {2};
  EXPECT_DEATH(emulation::LoadTileConfig(config), "palette");
}

// A product of int8 as a model has it, and what it is computed from.
struct Product {
  int in, out, rows;
  int depth_chunk = 0, scale_depth = 0;
  Stacking stacking = Stacking::kInOrder;
};

class AmxInt8Test : public testing::Test {
 protected:
  void SetUp() override {
    amx_ = EmulatedAmxKernels(Format::kInt8);
    if (amx_ == nullptr) GTEST_SKIP() << "granted " << Name(DetectIsa());
    vnni_ = GetKernels(Format::kInt8, Isa::kAvx512Bf16);
    amx_->acquire_tiles();
  }
  void TearDown() override {
    if (amx_ != nullptr) amx_->release_tiles();
  }

  // Makes the weights and the input of PRODUCT.
  void Make(const Product& product) {
    product_ = product;
    const auto seed = static_cast<uint32_t>(product.in + product.out + product.rows);
    weight_ = RandomFloats(static_cast<size_t>(product.in) * product.out, seed);
    bias_ = RandomFloats(product.out, seed + 1);
    const TensorView weight = {DataType::kFloat32, {product.out, product.in}, weight_.data()};
    const TensorView bias = {DataType::kFloat32, {product.out}, bias_.data()};
    std::vector<LinearPart> parts(product.stacking == Stacking::kGated ? 2 : 1, {weight, bias});
    linear_ = std::make_unique<MixedLinear>(Format::kInt8, parts,
                                            Int8Spec{{}, product.depth_chunk, product.scale_depth},
                                            product.stacking);
    const auto x = RandomFloats(static_cast<size_t>(product.rows) * product.in, seed + 2);
    const int stride = RowStride(Format::kInt8, product.in);
    input_ = AlignedBuffer<uint16_t>(static_cast<size_t>(product.rows + kSpareRows) * stride);
    vnni_->convert(Format::kInt8,
                   {x.data(), product.in, input_.data(), stride,
                    LowOffset(Format::kInt8, product.in), product.rows, product.in, nullptr});
  }
  GemmArgs Input(GemmArgs gemm) const {
    gemm.input = input_.data();
    gemm.input_stride = RowStride(Format::kInt8, product_.in);
    gemm.low_offset = LowOffset(Format::kInt8, product_.in);
    gemm.rows = product_.rows;
    return gemm;
  }
  // What each writes into memory that held the same before.
  template <typename T, typename Run>
  void ExpectSameBits(size_t size, const std::string& what, const Run& run) const {
    std::vector<T> got(size, T{3}), want(size, T{3});
    run(*amx_, got.data());
    run(*vnni_, want.data());
    EXPECT_EQ(std::memcmp(got.data(), want.data(), size * sizeof(T)), 0) << what;
    EXPECT_NE(want, std::vector<T>(size, T{3})) << what << " wrote nothing";
  }

  const Kernels *amx_ = nullptr, *vnni_ = nullptr;
  Product product_;
  AlignedBuffer<float> weight_, bias_;
  std::unique_ptr<MixedLinear> linear_;
  AlignedBuffer<uint16_t> input_;
};

TEST_F(AmxInt8Test, FloatsHaveTheBitsOfVnni) {
  for (const int rows : {1, 2, 15, 16, 17, 31, 32, 33, 49, 64, 97}) {
    for (const Product& product :
         {Product{384, 96, rows}, Product{384, 96, rows, 0, 128}, Product{100, 50, rows, 0, 64},
          Product{320, 64, rows, 0, 128}, Product{1, 3, rows}}) {
      Make(product);
      const int width = linear_->out_features();
      const GemmArgs gemm = Input(linear_->Columns(0, product.out));
      const std::string what = std::to_string(product.in) + " deep, rows " + std::to_string(rows);
      const size_t size = static_cast<size_t>(rows) * width;
      for (const float* bias : {static_cast<const float*>(nullptr), linear_->bias()}) {
        ExpectSameBits<float>(size, what, [&](const Kernels& kernels, float* to) {
          kernels.gemm_float(Format::kInt8, gemm, {to, width, bias, false});
        });
      }
      ExpectSameBits<float>(size, what + ", added", [&](const Kernels& kernels, float* to) {
        kernels.gemm_float(Format::kInt8, gemm, {to, width, nullptr, true});
      });
    }
  }
}

TEST_F(AmxInt8Test, ChunksOfDepthHaveTheBitsOfVnni) {
  Make({416, 64, 45, 384, 128});
  const int width = linear_->out_features();
  const auto run = [&](const Kernels& kernels, float* to) {
    for (const int first : {0, 384}) {
      GemmArgs gemm = Input(linear_->Depth(first, std::min(384, 416 - first)));
      gemm.input += first / 2;
      gemm.low_offset -= first / 2;
      kernels.gemm_float(Format::kInt8, gemm, {to, width, nullptr, first != 0});
    }
  };
  ExpectSameBits<float>(static_cast<size_t>(45) * width, "chunks", run);
}

TEST_F(AmxInt8Test, ActivationsHaveTheBitsOfVnni) {
  for (const int rows : {1, 16, 20, 33, 64, 65, 130}) {
    for (const Stacking stacking : {Stacking::kInOrder, Stacking::kGated}) {
      const bool gated = stacking == Stacking::kGated;
      Make({192, 96, rows, 0, 128, stacking});
      for (const Format format : {Format::kBf16, Format::kInt8}) {
        for (Epilogue epilogue : {Epilogue::kBias, Epilogue::kBiasGeluErf, Epilogue::kBiasGeluTanh,
                                  Epilogue::kBiasRelu, Epilogue::kBiasSilu}) {
          const int stride = RowStride(format, 96);
          const std::string what = "rows " + std::to_string(rows) +
                                   (gated ? " gated, epilogue " : " epilogue ") +
                                   std::to_string(static_cast<int>(epilogue));
          ExpectSameBits<uint16_t>(
              static_cast<size_t>(rows) * stride, what, [&](const Kernels& kernels, uint16_t* to) {
                kernels.gemm_activation(
                    Format::kInt8, Input(linear_->Columns(0, gated ? 192 : 96)),
                    {to, stride, LowOffset(format, 96), linear_->bias(), epilogue, format, gated});
              });
        }
      }
    }
  }
}

// int8 wants the context as floats, bf16 as bfloat16.
TEST_F(AmxInt8Test, AttentionGivesTheContextAsFloatsToo) {
  const int length = 37, head_size = 32, heads = 2, size = heads * head_size, stride = 3 * size;
  const auto qkv = RandomFloats(static_cast<size_t>(length) * stride, 1);
  AlignedBuffer<uint16_t> packed(static_cast<size_t>(length + kSpareRows) * stride);
  amx_->convert(Format::kBf16,
                {qkv.data(), stride, packed.data(), stride, 0, length, stride, nullptr});
  AlignedBuffer<uint16_t> context(static_cast<size_t>(length) * size), rounded(context.size());
  AlignedBuffer<float> floats(context.size());
  AlignedBuffer<char> scratch(AttentionScratchBytes(length, head_size));
  AttentionArgs args = {.query = packed.data(),
                        .key = packed.data() + size,
                        .value = packed.data() + 2 * size,
                        .context = context.data(),
                        .length = length,
                        .heads = heads,
                        .head_size = head_size,
                        .stride = stride,
                        .context_stride = size,
                        .scale = 0.2f,
                        .scratch = scratch.data()};
  amx_->attention(args);
  args.context = nullptr;
  args.float_context = floats.data();
  amx_->attention(args);
  amx_->convert(Format::kBf16,
                {floats.data(), size, rounded.data(), size, 0, length, size, nullptr});
  EXPECT_EQ(std::memcmp(context.data(), rounded.data(), context.size() * sizeof(uint16_t)), 0);
  EXPECT_NE(floats[size * length - 1], 0.0f);
}

}  // namespace
}  // namespace contexture::kernels::mixed
