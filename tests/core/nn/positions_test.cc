// Each scheme against its formula in plain loops.

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "core/nn/positions/alibi.h"
#include "core/nn/positions/positional_encoding.h"
#include "core/nn/positions/rotary.h"
#include "core/nn/positions/sinusoidal.h"
#include "core/nn/positions/sparse.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace contexture::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::Pointwise;
using Floats = std::vector<float>;

EncoderConfig Config(PositionKind kind, int num_positions, int hidden_size, int num_heads = 1) {
  EncoderConfig config;
  config.hidden_size = hidden_size;
  config.attention.num_heads = num_heads;
  config.attention.head_size = hidden_size / num_heads;
  config.embedding.size = hidden_size;
  config.position.kind = kind;
  config.position.num_positions = num_positions;
  return config;
}

Floats Matrix(const PositionalEncoding& positions, int length) {
  Floats matrix(static_cast<size_t>(length) * positions.columns(), NAN);
  positions.WriteMatrix(length, matrix.data());
  return matrix;
}

// What AddToEmbeddings adds to LENGTH rows of HIDDEN_SIZE zeros.
Floats Added(const PositionalEncoding& positions, int length, int hidden_size) {
  Floats embeddings(static_cast<size_t>(length) * hidden_size);
  positions.AddToEmbeddings(embeddings.data(), length);
  return embeddings;
}

Floats Sinusoidal(int length, int dimensions, double (*frequency)(int, int)) {
  Floats matrix(static_cast<size_t>(length) * dimensions);
  WriteSinusoidal(length, dimensions, frequency, matrix.data());
  return matrix;
}

TEST(SinusoidalPositionsTest, SineStandsAtEvenAndCosineAtOddDimensions) {
  for (int dimensions : {2, 4, 6, 10, 62, 512}) {
    const int length = 61;
    const SinusoidalPositions positions(length, dimensions);
    const Floats matrix = Matrix(positions, length);
    for (int p = 0; p < length; ++p) {
      for (int c = 0; c < dimensions; ++c) {
        const double angle = p / std::pow(10000.0, 2.0 * (c / 2) / dimensions);
        EXPECT_NEAR(matrix[p * dimensions + c], c % 2 == 0 ? std::sin(angle) : std::cos(angle),
                    1e-7);
      }
    }
    EXPECT_EQ(Added(positions, length, dimensions), matrix);
    EXPECT_EQ(Floats(positions.table(), positions.table() + matrix.size()), matrix);
  }
}

TEST(SinusoidalPositionsTest, BothWrittenFormsAgree) {
  for (int dimensions : {2, 8, 64, 254, 512, 1024}) {
    for (int pair = 0; pair < dimensions / 2; ++pair) {
      const double power = FrequencyByPower(pair, dimensions);
      EXPECT_NEAR(FrequencyByExponential(pair, dimensions) / power, 1.0, 1e-14);
    }
    // max_len 5000: the angles grow to 5000 radians, their difference to 5000 * 1e-14.
    EXPECT_THAT(
        Sinusoidal(5000, dimensions, FrequencyByExponential),
        Pointwise(testing::FloatNear(2e-7f), Sinusoidal(5000, dimensions, FrequencyByPower)));
  }
}

TEST(SinusoidalPositionsTest, VectorsAreBoundedByOneAndUnique) {
  for (int dimensions : {4, 8, 512}) {
    const int length = 5000;
    const Floats matrix = Sinusoidal(length, dimensions, FrequencyByExponential);
    std::vector<Floats> rows;
    for (int p = 0; p < length; ++p) {
      rows.emplace_back(matrix.begin() + p * dimensions, matrix.begin() + (p + 1) * dimensions);
      for (float x : rows.back()) ASSERT_LE(std::fabs(x), 1.0f);
    }
    std::sort(rows.begin(), rows.end());
    EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end()) << dimensions;
  }
}

// [sin(p + k), cos(p + k)] = [[cos k, sin k], [-sin k, cos k]] [sin p, cos p] for each frequency.
TEST(SinusoidalPositionsTest, AStepOfKIsARotationThatDependsOnKAlone) {
  const int length = 400, dimensions = 64;
  const Floats matrix = Sinusoidal(length, dimensions, FrequencyByExponential);
  const auto at = [&](int p, int c) { return double{matrix[p * dimensions + c]}; };
  for (int k : {0, 1, 2, 7, 50, 199}) {
    for (int pair = 0; pair < dimensions / 2; ++pair) {
      const double angle = k * FrequencyByPower(pair, dimensions);
      for (int p = 0; p + k < length; ++p) {
        const double sine = at(p, 2 * pair), cosine = at(p, 2 * pair + 1);
        EXPECT_NEAR(at(p + k, 2 * pair), std::cos(angle) * sine + std::sin(angle) * cosine, 3e-7);
        EXPECT_NEAR(at(p + k, 2 * pair + 1), -std::sin(angle) * sine + std::cos(angle) * cosine,
                    3e-7);
      }
    }
  }
}

TEST(SparsePositionsTest, PositionIIsTheOneHotVectorOfI) {
  const SparsePositions positions(5, 8);
  const Floats identity = {1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1,
                           0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1};
  EXPECT_EQ(Matrix(positions, 5), identity);
}

TEST(SparsePositionsTest, AddingTouchesOneElementOfAToken) {
  const SparsePositions positions(4, 6);
  EXPECT_EQ(positions.bytes(), 0u);
  EXPECT_EQ(positions.table(), nullptr);
  Floats embeddings(4 * 6);
  std::iota(embeddings.begin(), embeddings.end(), 10.0f);
  const Floats before = embeddings;
  positions.AddToEmbeddings(embeddings.data(), 4);
  for (int p = 0; p < 4; ++p) {
    for (int c = 0; c < 6; ++c) {
      EXPECT_EQ(embeddings[p * 6 + c] - before[p * 6 + c], c == p ? 1.0f : 0.0f);
    }
  }
}

TEST(PositionTableTest, LearnedRowsStartAtTheOffset) {
  const Floats table = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EncoderConfig config = Config(PositionKind::kLearned, 3, 2);
  config.position.offset = 2;
  EncoderWeights weights;
  weights.position_embedding = {DataType::kFloat32, {5, 2}, table.data()};
  const auto positions = MakePositionalEncoding(config, weights);
  EXPECT_THAT(Added(*positions, 3, 2), ElementsAre(5, 6, 7, 8, 9, 10));
  EXPECT_THAT(Matrix(*positions, 2), ElementsAre(5, 6, 7, 8));
  EXPECT_EQ(positions->bytes(), 6 * sizeof(float));
}

// The documents' Embedding(num_positions + 1, dim): ids 0 .. 4 give 5 of its 513 rows.
TEST(PositionTableTest, LearnedSparsePositionsHaveARowMoreThanPositions) {
  Floats table(513 * 4);
  std::iota(table.begin(), table.end(), 0.0f);
  EncoderWeights weights;
  weights.position_embedding = {DataType::kFloat32, {513, 4}, table.data()};
  const auto positions =
      MakePositionalEncoding(Config(PositionKind::kSparseLearned, 512, 4), weights);
  EXPECT_EQ(Matrix(*positions, 5), Floats(table.begin(), table.begin() + 20));
  EXPECT_EQ(Matrix(*positions, 513), table);
}

// Rotating and scoring, by complex numbers.
TEST(RotaryPositionsTest, PairsHalfAHeadApartTurnByTheirFrequency) {
  for (int head_size : {2, 4, 10, 64}) {
    const int length = 9, heads = 3, stride = heads * head_size + 5;
    const RotaryPositions positions(length, head_size, {.theta = 500.0f});
    Floats query(length * stride), key(length * stride);
    for (size_t i = 0; i < query.size(); ++i) {
      query[i] = std::sin(static_cast<float>(i));
      key[i] = std::cos(static_cast<float>(3 * i));
    }
    Floats got_query = query, got_key = key;
    positions.RotateQueryKey({got_query.data(), got_key.data(), length, heads, head_size, stride});
    for (int p = 0; p < length; ++p) {
      for (int c = 0; c < stride; ++c) {
        const int at = p * stride + c, i = c % head_size, half = head_size / 2;
        if (c >= heads * head_size) {  // beside the heads: untouched
          EXPECT_EQ(got_query[at], query[at]);
          continue;
        }
        const double angle = p * std::pow(500.0, -2.0 * (i % half) / head_size);
        const double other = i < half ? -1.0 : 1.0;
        const int partner = i < half ? at + half : at - half;
        const auto turned = [&](const Floats& x) {
          return x[at] * std::cos(angle) + other * x[partner] * std::sin(angle);
        };
        EXPECT_NEAR(got_query[at], turned(query), 1e-6);
        EXPECT_NEAR(got_key[at], turned(key), 1e-6);
      }
    }
  }
}

TEST(RotaryPositionsTest, AScoreDependsOnTheDistanceAlone) {
  const int length = 40, size = 16;
  const RotaryPositions positions(length, size, {.theta = 10000.0f});
  Floats query(length * size), key(length * size);  // the same vectors at every position
  for (int i = 0; i < length * size; ++i) {
    query[i] = std::sin(1.0f + static_cast<float>(i % size));
    key[i] = std::cos(2.0f * static_cast<float>(i % size));
  }
  positions.RotateQueryKey({query.data(), key.data(), length, 1, size, size});
  const auto score = [&](int i, int j) {
    return std::inner_product(&query[i * size], &query[i * size] + size, &key[j * size], 0.0);
  };
  for (int i = 0; i + 5 < length; ++i) EXPECT_NEAR(score(i + 5, i), score(5, 0), 1e-5);
  EXPECT_GT(std::fabs(score(5, 0) - score(0, 5)), 1e-3);
  EXPECT_GT(std::fabs(score(5, 0) - score(4, 0)), 1e-3);
}

TEST(RotaryPositionsTest, MatrixHoldsCosinesThenSinesOfAHead) {
  const Floats matrix = Matrix(RotaryPositions(3, 4, {.theta = 100.0f}), 3);
  EXPECT_THAT(Floats(matrix.begin() + 8, matrix.end()),
              Pointwise(testing::FloatNear(1e-6f),
                        Floats{std::cos(2.0f), std::cos(0.2f), std::sin(2.0f), std::sin(0.2f)}));
}

TEST(AlibiPositionsTest, SlopesAreThoseOfThePaper) {
  EXPECT_THAT(AlibiSlopes(1), ElementsAre(0x1p-8f));
  EXPECT_THAT(AlibiSlopes(8),
              ElementsAre(0x1p-1f, 0x1p-2f, 0x1p-3f, 0x1p-4f, 0x1p-5f, 0x1p-6f, 0x1p-7f, 0x1p-8f));
  const std::vector<float> sixteen = AlibiSlopes(16);
  EXPECT_FLOAT_EQ(sixteen[0], std::sqrt(0.5f));
  EXPECT_FLOAT_EQ(sixteen[15], 0x1p-8f);
}

TEST(AlibiPositionsTest, OtherHeadCountsTakeEverySecondSlopeOfTwiceAsMany) {
  EXPECT_THAT(AlibiSlopes(3), ElementsAre(0x1p-4f, 0x1p-8f, 0x1p-2f));
  EXPECT_THAT(AlibiSlopes(6), ElementsAre(0x1p-2f, 0x1p-4f, 0x1p-6f, 0x1p-8f, 0x1p-1f, 0x1p-3f));
  const std::vector<float> sixteen = AlibiSlopes(16), twelve = AlibiSlopes(12);
  ASSERT_EQ(twelve.size(), 12u);
  for (int i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(twelve[8 + i], sixteen[2 * i]);
}

TEST(AlibiPositionsTest, BiasFallsWithTheDistanceInBothDirections) {
  const AlibiPositions positions(2);  // slopes 2^-4, 2^-8
  Floats scores(9, 1.0f);
  positions.BiasScores({scores.data(), 3, 0});
  const float s = 0x1p-4f;
  EXPECT_THAT(scores, ElementsAre(1, 1 - s, 1 - 2 * s, 1 - s, 1, 1 - s, 1 - 2 * s, 1 - s, 1));
  EXPECT_THAT(Matrix(positions, 3), ElementsAre(0, 0, -s, -0x1p-8f, -2 * s, -0x1p-7f));
}

TEST(NoPositionsTest, NothingIsAdded) {
  const auto positions = MakePositionalEncoding(Config(PositionKind::kNone, 4, 3), {});
  EXPECT_EQ(Added(*positions, 4, 3), Floats(12));
  EXPECT_EQ(Matrix(*positions, 4), Floats(12));
  EXPECT_EQ(positions->turns(), nullptr);
  EXPECT_TRUE(positions->slopes().empty());
}

TEST(MakePositionalEncodingTest, EachKindActsInItsOwnPlaceAlone) {
  const Floats table(20 * 8, 0.5f);
  for (PositionKind kind : {PositionKind::kNone, PositionKind::kLearned, PositionKind::kSinusoidal,
                            PositionKind::kSparse, PositionKind::kRotary, PositionKind::kAlibi}) {
    EncoderWeights weights;
    weights.position_embedding = {DataType::kFloat32, {8, 8}, table.data()};
    const auto positions = MakePositionalEncoding(Config(kind, 8, 8, 2), weights);
    const bool adds = kind == PositionKind::kLearned || kind == PositionKind::kSinusoidal ||
                      kind == PositionKind::kSparse;
    EXPECT_EQ(Added(*positions, 8, 8) != Floats(64), adds);
    EXPECT_EQ(positions->turns() != nullptr, kind == PositionKind::kRotary);
    EXPECT_EQ(positions->slopes().empty(), kind != PositionKind::kAlibi);
    Floats scores(64, 1.0f), query(64, 1.0f), key(64, 1.0f);
    positions->BiasScores({scores.data(), 8, 1});
    EXPECT_EQ(scores != Floats(64, 1.0f), kind == PositionKind::kAlibi);
    positions->RotateQueryKey({query.data(), key.data(), 8, 2, 4, 8});
    EXPECT_EQ(query != Floats(64, 1.0f), kind == PositionKind::kRotary);
  }
}

}  // namespace
}  // namespace contexture::nn
