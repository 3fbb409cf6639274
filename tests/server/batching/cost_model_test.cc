#include "server/batching/cost_model.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace contexture {
namespace {

// A machine: 2 ms for each batch, 20 us for each token, 50 ns for each pair of tokens.
double TrueSeconds(const BatchSize& size) {
  return 2e-3 + 20e-6 * static_cast<double>(size.tokens) +
         50e-9 * static_cast<double>(size.squares);
}

class CostModelTest : public testing::Test {
 protected:
  // A batch of COUNT sequences of LENGTH tokens.
  static BatchSize Batch(int64_t count, int64_t length) {
    return {.tokens = count * length, .squares = count * length * length};
  }
  BatchSize RandomBatch() {
    const int64_t length = 1 + random_() % 256;
    return Batch(1 + random_() % (512 / length), length);
  }
  // Batches that take FACTOR times the machine's time, within NOISE of it.
  void Observe(int batches, double factor = 1.0, double noise = 0.05) {
    std::uniform_real_distribution<double> spread(1.0 - noise, 1.0 + noise);
    for (int i = 0; i < batches; ++i) {
      const BatchSize size = RandomBatch();
      model_.Observe(
          {.size = size, .time = absl::Seconds(TrueSeconds(size) * factor * spread(random_))});
    }
  }
  void Start() {
    std::vector<CostSample> samples;
    for (const auto& size : {Batch(1, 8), Batch(16, 32), Batch(1, 512)}) {
      samples.push_back({.size = size, .time = absl::Seconds(TrueSeconds(size))});
    }
    model_ = CostModel(samples);
  }
  // The largest relative error over batches of all shapes.
  double WorstError(double factor = 1.0) {
    double worst = 0;
    for (const auto& size : {Batch(1, 8), Batch(32, 16), Batch(4, 128), Batch(2, 256)}) {
      const double truth = TrueSeconds(size) * factor;
      worst =
          std::max(worst, std::abs(absl::ToDoubleSeconds(model_.Predict(size)) - truth) / truth);
    }
    return worst;
  }

  std::mt19937 random_{17};
  CostModel model_;
};

TEST_F(CostModelTest, KnowsNothingAtFirst) {
  EXPECT_EQ(model_.Predict(Batch(4, 128)), absl::ZeroDuration());
  EXPECT_EQ(model_.PredictPart(Batch(4, 128), 512), absl::ZeroDuration());
}

TEST_F(CostModelTest, ThreeShapesAreEnoughToStart) {
  Start();
  EXPECT_LT(WorstError(), 0.01);
}

TEST_F(CostModelTest, WhatTheLoadDoesNotShowKeepsTheStartsProportions) {
  Start();
  for (int i = 0; i < 2000; ++i) {
    const BatchSize size = Batch(4 + random_() % 28, 16);
    model_.Observe({.size = size, .time = absl::Seconds(2 * TrueSeconds(size))});
  }
  EXPECT_LT(WorstError(2), 0.15) << "twice as slow as at the start, seen with short sequences only";
}

TEST_F(CostModelTest, LearnsWhatTokensAndLengthsCost) {
  Observe(300);
  EXPECT_LT(WorstError(), 0.1);
}

TEST_F(CostModelTest, KnowsHowUncertainItIs) {
  Start();
  Observe(300, 1.0, 0.4);
  EXPECT_NEAR(model_.uncertainty(), 0.2, 0.06) << "the mean of errors spread over 0 .. 0.4";
  Observe(300, 1.0, 0.0);
  EXPECT_LT(model_.uncertainty(), 0.05);
}

TEST_F(CostModelTest, PartsOfAFullBatchAddUpToIt) {
  Observe(300);
  const BatchSize part = Batch(2, 64), full = Batch(8, 64);
  EXPECT_NEAR(4 * absl::ToDoubleSeconds(model_.PredictPart(part, full.tokens)),
              absl::ToDoubleSeconds(model_.Predict(full)), 1e-6);
}

TEST_F(CostModelTest, StragglersHardlyMoveIt) {
  Observe(200);
  for (int i = 0; i < 200; ++i) {
    const bool straggles = i % 20 == 0;
    Observe(1, straggles ? 30.0 : 1.0);
  }
  EXPECT_LT(WorstError(), 0.35);
}

TEST_F(CostModelTest, FollowsAMachineThatBecomesSlower) {
  Observe(500);
  Observe(200, 2.5);
  EXPECT_LT(WorstError(2.5), 0.2);
}

TEST_F(CostModelTest, FollowsAMachineThatBecomesFaster) {
  Start();
  Observe(500);
  Observe(200, 0.4);
  EXPECT_LT(WorstError(0.4), 0.3);
}

TEST_F(CostModelTest, BatchesOfOneShapeDoNotSpoilTheOthers) {
  Start();
  Observe(300);
  for (int i = 0; i < 20000; ++i) {
    model_.Observe({.size = Batch(1, 16), .time = absl::Seconds(TrueSeconds(Batch(1, 16)))});
  }
  Observe(3);
  EXPECT_LT(WorstError(), 0.3);
}

TEST_F(CostModelTest, PredictionsAreNeverNegative) {
  std::uniform_real_distribution<double> seconds(0, 0.1);
  for (int i = 0; i < 2000; ++i) {
    model_.Observe({.size = RandomBatch(), .time = absl::Seconds(seconds(random_))});
    EXPECT_GE(model_.Predict(RandomBatch()), absl::ZeroDuration());
  }
}

TEST_F(CostModelTest, EmptySamplesTeachNothing) {
  model_.Observe({.size = {}, .time = absl::Seconds(1)});
  model_.Observe({.size = Batch(1, 1), .time = absl::ZeroDuration()});
  EXPECT_EQ(model_.Predict(Batch(1, 1)), absl::ZeroDuration());
}

}  // namespace
}  // namespace contexture
