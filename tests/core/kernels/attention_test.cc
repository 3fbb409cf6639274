#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

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
  const RelativeScores* relative = nullptr;
};

// Positions of DISTANCES distances in both directions: row DISTANCES - 1 - d for d = j - i, in
// STEPS distances a row.
class Relative {
 public:
  Relative(int distances, int step, int head_size)
      : num_rows_(2 * distances / step + 1),
        stride_((num_rows_ + 15) / 16 * 16),
        keys_(RandomFloats(static_cast<size_t>(head_size) * stride_, distances)),
        queries_(RandomFloats(static_cast<size_t>(num_rows_) * (head_size + 3), step)) {
    for (int d = 1 - distances; d < distances + 16; ++d) {
      const int row = std::max(0, (distances - 1 - d) / step);
      rows_.push_back(row);
      tile_offsets_.push_back(row * kRelativeTile + d);
    }
    scores_ = {.keys = keys_.data(),
               .key_stride = stride_,
               .queries = queries_.data(),
               .query_stride = head_size + 3,
               .num_rows = num_rows_,
               .rows = rows_.data() + distances - 1,
               .tile_offsets = tile_offsets_.data() + distances - 1};
  }
  RelativeScores scores() const { return scores_; }

 private:
  int num_rows_, stride_;
  AlignedBuffer<float> keys_, queries_;
  std::vector<int32_t> rows_, tile_offsets_;
  RelativeScores scores_;
};

class AttentionTest : public testing::TestWithParam<Isa> {
 protected:
  // Query, key and value lie in one [tokens, 3 * head_size] matrix, as after the fused projection.
  static AlignedBuffer<float> Run(void (*attend)(const AttentionArgs&), const Case& c,
                                  const AlignedBuffer<float>& qkv) {
    AlignedBuffer<float> context(static_cast<size_t>(c.queries) * c.head_size);
    AlignedBuffer<float> scratch(AttentionScratchFloats(
        c.keys, c.head_size, c.relative == nullptr ? 0 : c.relative->num_rows));
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
            .distance_bias = c.distance_bias,
            .relative = c.relative});
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

TEST_P(AttentionTest, ScoresGrowByThoseOfRelativePositions) {
  for (int length : {1, 2, 5, 16, 17, 64, 65, 130, 257}) {
    for (int head_size : {4, 20, 64}) {
      for (int step : {1, 3}) {
        const Relative positions(length + 5, step, head_size);
        const auto qkv =
            RandomFloats(static_cast<size_t>(length) * 3 * head_size, length + head_size);
        RelativeScores keys = positions.scores(), queries = positions.scores();
        keys.queries = nullptr;
        queries.keys = nullptr;
        const RelativeScores both = positions.scores();
        for (const RelativeScores& relative : {both, keys, queries}) {
          Case c = {length, length, head_size, false};
          c.relative = &relative;
          const auto got = Run(GetVectorKernels(GetParam()).attention, c, qkv);
          EXPECT_LE(MaxDifference(got, Run(reference::Attend, c, qkv)), 3 * kElementwiseTolerance)
              << "length " << length << " head " << head_size << " step " << step;
          c.relative = nullptr;
          if (length == 1) continue;
          EXPECT_GT(MaxDifference(got, Run(reference::Attend, c, qkv)), 1e-3f);
        }
      }
    }
  }
}

TEST_P(AttentionTest, RelativePositionsGoWithMasksAndFewQueries) {
  for (bool causal : {false, true}) {
    for (int window : {0, 9, 70}) {
      const Relative positions(150, 2, 24);
      const RelativeScores scores = positions.scores();
      Case c = {90, 150, 24, causal, 0.0f, window, nullptr, &scores};
      const auto qkv = RandomFloats(static_cast<size_t>(150) * 3 * 24, 7);
      const auto got = Run(GetVectorKernels(GetParam()).attention, c, qkv);
      EXPECT_LE(MaxDifference(got, Run(reference::Attend, c, qkv)), 3 * kElementwiseTolerance)
          << "causal " << causal << " window " << window;
      c.queries = 70;
      const auto part = Run(GetVectorKernels(GetParam()).attention, c, qkv);
      EXPECT_EQ(std::memcmp(got.data(), part.data(), part.bytes()), 0);
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
