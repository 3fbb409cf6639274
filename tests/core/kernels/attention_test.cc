#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/kernels/reference.h"
#include "core/kernels/vector_kernels.h"
#include "tests/core/kernels/kernel_test_util.h"

namespace contexture::kernels {
namespace {

struct Case {
  int queries, keys, head_size;
  bool causal;
  float alibi_slope = 0.0f;
  int window = 0;
  const float* distance_bias = nullptr;
};

class AttentionTest : public testing::TestWithParam<Isa> {
 protected:
  // Query, key and value lie in one [tokens, 3 * head_size] matrix, as after the fused projection.
  static AlignedBuffer<float> Run(void (*attend)(const AttentionArgs&), const Case& c,
                                  const AlignedBuffer<float>& qkv) {
    AlignedBuffer<float> context(static_cast<size_t>(c.queries) * c.head_size);
    AlignedBuffer<float> scratch(AttentionScratchFloats(c.keys, c.head_size));
    attend({.query = qkv.data(),
            .key = qkv.data() + c.head_size,
            .value = qkv.data() + 2 * c.head_size,
            .context = context.data(),
            .query_length = c.queries,
            .key_length = c.keys,
            .head_size = c.head_size,
            .stride = 3 * c.head_size,
            .context_stride = c.head_size,
            .scale = 1.0f / std::sqrt(static_cast<float>(c.head_size)),
            .causal = c.causal,
            .scratch = scratch.data(),
            .alibi_slope = c.alibi_slope,
            .window = c.window,
            .distance_bias = c.distance_bias});
    return context;
  }
};

TEST_P(AttentionTest, EqualsReferenceForLengthsHeadSizesAndMasks) {
  for (int length : {1, 2, 5, 8, 15, 16, 17, 31, 48, 49, 100, 257}) {
    for (int head_size : {1, 4, 12, 16, 20, 32, 64, 80}) {
      for (bool causal : {false, true}) {
        const Case c = {length, length, head_size, causal};
        const auto qkv =
            RandomFloats(static_cast<size_t>(length) * 3 * head_size, length + head_size);
        const auto got = Run(GetVectorKernels(GetParam()).attention, c, qkv);
        const auto want = Run(reference::Attend, c, qkv);
        EXPECT_LE(MaxDifference(got, want), 3 * kElementwiseTolerance)
            << "length " << length << " head " << head_size << " causal " << causal;
      }
    }
  }
}

TEST_P(AttentionTest, ScoresAreLoweredByTheSlopeTimesTheDistance) {
  for (int length : {1, 3, 8, 17, 50, 131}) {
    for (int head_size : {4, 20, 64}) {
      for (bool causal : {false, true}) {
        for (float slope : {0.00390625f, 0.25f, 1.0f}) {
          const Case c = {length, length, head_size, causal, slope};
          const auto qkv =
              RandomFloats(static_cast<size_t>(length) * 3 * head_size, length + head_size);
          const auto got = Run(GetVectorKernels(GetParam()).attention, c, qkv);
          EXPECT_LE(MaxDifference(got, Run(reference::Attend, c, qkv)), 3 * kElementwiseTolerance)
              << "length " << length << " head " << head_size << " slope " << slope;
          const Case without = {length, length, head_size, causal};
          if (length > 1) {
            EXPECT_GT(MaxDifference(got, Run(reference::Attend, without, qkv)), 1e-4f);
          }
        }
      }
    }
  }
}

TEST_P(AttentionTest, AWindowHidesTheKeysOutsideIt) {
  for (int length : {1, 2, 9, 16, 17, 40, 131}) {
    for (int head_size : {4, 20, 64}) {
      for (bool causal : {false, true}) {
        for (int window : {1, 3, 16, 17, 64}) {
          const Case c = {length, length, head_size, causal, 0.0f, window};
          const auto qkv =
              RandomFloats(static_cast<size_t>(length) * 3 * head_size, length + head_size);
          const auto got = Run(GetVectorKernels(GetParam()).attention, c, qkv);
          EXPECT_LE(MaxDifference(got, Run(reference::Attend, c, qkv)), 3 * kElementwiseTolerance)
              << "length " << length << " head " << head_size << " causal " << causal << " window "
              << window;
        }
      }
    }
  }
}

TEST_P(AttentionTest, WhatLiesOutsideTheWindowDoesNotMatterAtAll) {
  const Case c = {60, 60, 16, false, 0.0f, 5};
  auto qkv = RandomFloats(static_cast<size_t>(60) * 3 * 16, 4);
  const auto before = Run(GetVectorKernels(GetParam()).attention, c, qkv);
  for (int i = 36; i < 60; ++i) {
    for (int d = 0; d < 48; ++d) qkv[i * 48 + d] = 1e9f;
  }
  const auto after = Run(GetVectorKernels(GetParam()).attention, c, qkv);
  EXPECT_EQ(std::memcmp(before.data(), after.data(), 31 * 16 * sizeof(float)), 0);
}

TEST_P(AttentionTest, ABiasOfTheDistanceIsAddedToTheScaledScores) {
  for (int length : {1, 5, 16, 33, 100}) {
    for (int window : {0, 7}) {
      const auto bias = RandomFloats(2 * length - 1, length, 2.0f);
      const Case c = {length, length, 24, window == 7, 0.0f, window, bias.data() + length - 1};
      const auto qkv = RandomFloats(static_cast<size_t>(length) * 3 * 24, length);
      const auto got = Run(GetVectorKernels(GetParam()).attention, c, qkv);
      EXPECT_LE(MaxDifference(got, Run(reference::Attend, c, qkv)), 3 * kElementwiseTolerance)
          << "length " << length << " window " << window;
    }
  }
}

TEST_P(AttentionTest, ASteepSlopeLeavesEachTokenOnlyItself) {
  const Case c = {9, 9, 16, false, 1000.0f};
  const auto qkv = RandomFloats(static_cast<size_t>(9) * 3 * 16, 8);
  const auto got = Run(GetVectorKernels(GetParam()).attention, c, qkv);
  for (int i = 0; i < 9; ++i) {
    for (int d = 0; d < 16; ++d) EXPECT_FLOAT_EQ(got[i * 16 + d], qkv[i * 48 + 32 + d]);
  }
}

TEST_P(AttentionTest, QueriesAndKeysMayDifferInNumber) {
  const Case c = {5, 33, 32, false};
  const auto qkv = RandomFloats(static_cast<size_t>(33) * 3 * 32, 3);
  const auto got = Run(GetVectorKernels(GetParam()).attention, c, qkv);
  EXPECT_LE(MaxDifference(got, Run(reference::Attend, c, qkv)), 3 * kElementwiseTolerance);
}

TEST_P(AttentionTest, LargeScoresStayFiniteAndExact) {
  const Case c = {20, 20, 32, false};
  const auto qkv = RandomFloats(static_cast<size_t>(20) * 3 * 32, 5, 30.0f);
  const auto got = Run(GetVectorKernels(GetParam()).attention, c, qkv);
  EXPECT_LE(MaxDifference(got, Run(reference::Attend, c, qkv)), 2e-3f);  // scores reach 5,000
}

TEST_P(AttentionTest, NotANumberInTheInputReachesTheOutput) {
  const Case c = {4, 4, 16, false};
  auto qkv = RandomFloats(static_cast<size_t>(4) * 3 * 16, 5);
  qkv[0] = NAN;  // query 0
  const auto got = Run(GetVectorKernels(GetParam()).attention, c, qkv);
  EXPECT_TRUE(std::isnan(got[0]));
  EXPECT_TRUE(std::isfinite(got[16]));
}

TEST_P(AttentionTest, ARowDoesNotDependOnHowManyQueriesStandBesideIt) {
  const Case all = {37, 37, 32, false}, few = {3, 37, 32, false};
  const auto qkv = RandomFloats(static_cast<size_t>(37) * 3 * 32, 6);
  const auto whole = Run(GetVectorKernels(GetParam()).attention, all, qkv);
  const auto part = Run(GetVectorKernels(GetParam()).attention, few, qkv);
  EXPECT_EQ(std::memcmp(whole.data(), part.data(), part.bytes()), 0);
}

INSTANTIATE_TEST_SUITE_P(Isas, AttentionTest, testing::ValuesIn(TestableIsas()),
                         [](const auto& param) { return std::string(Name(param.param)); });

}  // namespace
}  // namespace contexture::kernels
