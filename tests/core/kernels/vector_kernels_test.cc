#include "core/kernels/vector_kernels.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/kernels/reference.h"
#include "tests/core/kernels/kernel_test_util.h"

namespace contexture::kernels {
namespace {

class VectorKernelsTest : public testing::TestWithParam<Isa> {
 protected:
  const VectorKernels& kernels() const { return GetVectorKernels(GetParam()); }
};

constexpr int kSizes[] = {1, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 100, 384, 768};

TEST_P(VectorKernelsTest, TableIsOfTheAskedInstructionSet) { EXPECT_EQ(kernels().isa, GetParam()); }

TEST_P(VectorKernelsTest, NormEqualsReferenceForAllSizesAndOptionalParts) {
  for (int size : kSizes) {
    for (int parts = 0; parts < 8; ++parts) {
      const int rows = 3;
      const auto input = RandomFloats(rows * size, 1), residual = RandomFloats(rows * size, 2);
      const auto bias = RandomFloats(size, 3), gamma = RandomFloats(size, 4);
      const auto beta = RandomFloats(size, 5);
      AlignedBuffer<float> got(rows * size), want(rows * size);
      NormArgs args = {input.data(),
                       parts & 1 ? bias.data() : nullptr,
                       parts & 2 ? residual.data() : nullptr,
                       gamma.data(),
                       beta.data(),
                       got.data(),
                       rows,
                       size,
                       1e-5f,
                       /*subtract_mean=*/(parts & 4) == 0};
      kernels().norm(args);
      args.output = want.data();
      reference::Norm(args);
      // A row of one or few elements has hardly any variance, which magnifies rounding.
      EXPECT_LE(MaxDifference(got, want), size < 8 ? 2e-4f : 5 * kElementwiseTolerance)
          << "size " << size << " parts " << parts;
    }
  }
}

TEST_P(VectorKernelsTest, NormMayWriteOverItsResidual) {
  const int rows = 2, size = 48;
  const auto input = RandomFloats(rows * size, 1), gamma = RandomFloats(size, 2);
  const auto beta = RandomFloats(size, 3);
  auto in_place = RandomFloats(rows * size, 4), apart = RandomFloats(rows * size, 4);
  AlignedBuffer<float> output(rows * size);
  NormArgs args = {input.data(),  nullptr, apart.data(), gamma.data(), beta.data(),
                   output.data(), rows,    size,         1e-12f};
  kernels().norm(args);
  args.residual = in_place.data();
  args.output = in_place.data();
  kernels().norm(args);
  EXPECT_EQ(MaxDifference(output, in_place), 0.0f);
}

TEST_P(VectorKernelsTest, AddEqualsReference) {
  for (int size : kSizes) {
    const auto input = RandomFloats(2 * size, 1), residual = RandomFloats(2 * size, 2);
    const auto bias = RandomFloats(size, 3);
    AlignedBuffer<float> got(2 * size), want(2 * size);
    kernels().add({input.data(), bias.data(), residual.data(), got.data(), 2, size});
    reference::Add({input.data(), bias.data(), residual.data(), want.data(), 2, size});
    EXPECT_LE(MaxDifference(got, want), kElementwiseTolerance) << "size " << size;
  }
}

TEST_P(VectorKernelsTest, ActivationsEqualReferenceOverTheirWholeRange) {
  for (Epilogue epilogue : {Epilogue::kNone, Epilogue::kBias, Epilogue::kBiasGeluErf,
                            Epilogue::kBiasGeluTanh, Epilogue::kBiasRelu, Epilogue::kBiasSilu}) {
    const int columns = 1001;  // not a multiple of any vector
    AlignedBuffer<float> got(columns), want(columns), bias(columns);
    for (int c = 0; c < columns; ++c) {
      got[c] = want[c] = (c - 500) * 0.05f;  // -25 .. 25
      bias[c] = 0.001f * (c % 7);
    }
    kernels().epilogue({got.data(), bias.data(), 1, columns, columns, epilogue});
    reference::ApplyEpilogue({want.data(), bias.data(), 1, columns, columns, epilogue});
    EXPECT_LE(MaxDifference(got, want), 3 * kElementwiseTolerance)
        << "epilogue " << static_cast<int>(epilogue);
  }
}

TEST_P(VectorKernelsTest, GateEqualsReference) {
  for (Epilogue activation : {Epilogue::kNone, Epilogue::kBiasGeluErf, Epilogue::kBiasGeluTanh,
                              Epilogue::kBiasRelu, Epilogue::kBiasSilu}) {
    for (int columns : kSizes) {
      auto got = RandomFloats(3 * 2 * columns, columns), want = RandomFloats(6 * columns, columns);
      kernels().gate({got.data(), 3, columns, activation});
      reference::Gate({want.data(), 3, columns, activation});
      EXPECT_LE(MaxDifference(got, want), 2 * kElementwiseTolerance)
          << "activation " << static_cast<int>(activation) << " columns " << columns;
    }
  }
}

TEST_P(VectorKernelsTest, RotateEqualsReferenceAndLeavesTheRestOfARowAlone) {
  for (int head_size : {2, 6, 12, 32, 34, 64, 128}) {
    const int rows = 3, heads = 2, stride = heads * head_size + 3;
    const auto turns = RandomFloats(rows * head_size, 1);
    auto got = RandomFloats(rows * stride, 2), want = RandomFloats(rows * stride, 2);
    kernels().rotate({got.data(), turns.data(), rows, heads, head_size, stride});
    reference::Rotate({want.data(), turns.data(), rows, heads, head_size, stride});
    EXPECT_LE(MaxDifference(got, want), kElementwiseTolerance) << head_size;
    EXPECT_EQ(got[stride - 1], want[stride - 1]);
  }
}

TEST_P(VectorKernelsTest, EpilogueLeavesElementsBetweenTheColumnsAndTheStrideAlone) {
  AlignedBuffer<float> tile(2 * 40), bias(33);
  for (size_t i = 0; i < tile.size(); ++i) tile[i] = 7.0f;
  kernels().epilogue({tile.data(), bias.data(), 2, 33, 40, Epilogue::kBiasRelu});
  for (int c = 33; c < 40; ++c) EXPECT_EQ(tile[c], 7.0f);
}

TEST_P(VectorKernelsTest, PoolEqualsReference) {
  for (PoolMode mode : {PoolMode::kMean, PoolMode::kMax}) {
    for (int size : kSizes) {
      for (int rows : {1, 2, 9}) {
        const auto input = RandomFloats(rows * size, size + rows);
        AlignedBuffer<float> got(size), want(size);
        kernels().pool(mode, input.data(), rows, size, got.data());
        reference::Pool(mode, input.data(), rows, size, want.data());
        EXPECT_LE(MaxDifference(got, want), kElementwiseTolerance);
      }
    }
  }
}

TEST_P(VectorKernelsTest, SumOfSquaresIsNotFiniteWhenAnElementIsNot) {
  auto row = RandomFloats(100, 1);
  EXPECT_NEAR(kernels().sum_of_squares(row.data(), 3),
              row[0] * row[0] + row[1] * row[1] + row[2] * row[2], 1e-5f);
  row[97] = NAN;
  EXPECT_FALSE(std::isfinite(kernels().sum_of_squares(row.data(), 100)));
  row[97] = INFINITY;
  EXPECT_FALSE(std::isfinite(kernels().sum_of_squares(row.data(), 100)));
}

INSTANTIATE_TEST_SUITE_P(Isas, VectorKernelsTest, testing::ValuesIn(TestableIsas()),
                         [](const auto& param) { return std::string(Name(param.param)); });

}  // namespace
}  // namespace contexture::kernels
