#include "core/nn/max_sim.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace contexture::nn {
namespace {

std::vector<float> RandomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> values(-1.0f, 1.0f);
  std::vector<float> floats(count);
  for (float& value : floats) value = values(random);
  return floats;
}

// Khattab and Zaharia 2020, equation 3, as it stands there.
double Reference(const std::vector<float>& query, const std::vector<float>& document, int size) {
  double sum = 0;
  for (size_t q = 0; q < query.size(); q += size) {
    double best = -1e30;
    for (size_t d = 0; d < document.size(); d += size) {
      double product = 0;
      for (int c = 0; c < size; ++c) product += double{query[q + c]} * document[d + c];
      best = std::max(best, product);
    }
    sum += best;
  }
  return sum;
}

TEST(MaxSimTest, EqualsPlainLoopsForAllSizes) {
  for (int size : {1, 3, 24, 128}) {
    for (int queries : {1, 5, 32}) {
      for (int tokens : {1, 7, 63, 64, 65, 200}) {
        const auto query = RandomFloats(static_cast<size_t>(queries) * size, size + queries);
        const auto document = RandomFloats(static_cast<size_t>(tokens) * size, tokens);
        const auto score = MaxSim({query.data(), queries}, {document.data(), tokens}, size);
        ASSERT_TRUE(score.ok()) << score.status();
        EXPECT_NEAR(*score, Reference(query, document, size), 1e-4)
            << queries << " x " << tokens << " of " << size;
      }
    }
  }
}

TEST(MaxSimTest, NegativeProductsCount) {
  const float query[] = {1.0f, 0.0f, 0.0f, 1.0f}, document[] = {-1.0f, -2.0f, -3.0f, -0.5f};
  const auto score = MaxSim({query, 2}, {document, 2}, 2);
  ASSERT_TRUE(score.ok()) << score.status();
  EXPECT_FLOAT_EQ(*score, -1.5f);
}

}  // namespace
}  // namespace contexture::nn
