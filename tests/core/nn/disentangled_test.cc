// Rows of relative positions against those of transformers, and what a layer's attention takes.

#include "core/nn/positions/disentangled.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace contexture::nn {
namespace {

using ::testing::ElementsAre;

std::vector<int> Rows(const DisentangledConfig& config, const std::vector<int>& distances) {
  std::vector<int> rows;
  for (int distance : distances) rows.push_back(DisentangledRow(distance, config));
  return rows;
}

// make_log_bucket_position of transformers 5.23 gave these.
TEST(DisentangledRowTest, LongDistancesShareRowsByTheirLogarithm) {
  EXPECT_THAT(Rows({.num_rows = 512, .num_buckets = 256, .max_distance = 512},
                   {0, 1, -1, 127, 128, 129, -129, 200, -300, 511, -511, 512, 5000, -5000}),
              ElementsAre(256, 257, 255, 383, 384, 385, 127, 425, 49, 511, 1, 511, 511, 0));
  EXPECT_THAT(Rows({.num_rows = 24, .num_buckets = 12, .max_distance = 40},
                   {0, 1, 3, 4, 6, 7, 8, 9, 10, 20, 39, 40, -5, -9, -39}),
              ElementsAre(12, 13, 15, 16, 18, 19, 19, 20, 20, 22, 23, 23, 7, 4, 1));
}

TEST(DisentangledRowTest, WithoutBucketsEachDistanceHasARowUpToTheTablesEnds) {
  EXPECT_THAT(Rows({.num_rows = 8, .max_distance = 4}, {0, 1, 3, 4, 100, -1, -4, -5, -100}),
              ElementsAre(4, 5, 7, 7, 7, 3, 0, 0, 0));
}

TEST(DisentangledPositionsTest, RowsDescendFromKeysBeforeTheQueryToKeysBehind) {
  EncoderConfig config;
  config.hidden_size = 4;
  config.max_length = 300;
  config.attention.disentangled = {.num_rows = 24, .num_buckets = 12, .max_distance = 40};
  const std::vector<float> table(24 * 4);
  EncoderWeights weights;
  weights.relative_embedding = {
      .data_type = DataType::kFloat32, .shape = {24, 4}, .data = table.data()};
  const DisentangledPositions positions(config, weights, kernels::GetVectorKernels(Isa::kGeneric));
  for (int d = -299; d <= 299 + 16; ++d) {
    EXPECT_EQ(positions.rows()[d], DisentangledRow(-d, config.attention.disentangled));
    EXPECT_EQ(positions.tile_offsets()[d], positions.rows()[d] * kernels::kRelativeTile + d);
    EXPECT_LE(positions.rows()[d], positions.rows()[std::max(d - 1, -299)]);
  }
}

}  // namespace
}  // namespace contexture::nn
