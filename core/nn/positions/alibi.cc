#include "core/nn/positions/alibi.h"

#include <cmath>
#include <cstddef>
#include <cstdlib>

namespace contexture::nn {

std::vector<float> AlibiSlopes(int num_heads) {
  int power = 1;
  while (power * 2 <= num_heads) power *= 2;
  std::vector<float> slopes;
  for (int k = 1; k <= power; ++k) {
    slopes.push_back(static_cast<float>(std::exp2(-8.0 * k / power)));
  }
  for (int k = 1; static_cast<int>(slopes.size()) < num_heads; k += 2) {
    slopes.push_back(static_cast<float>(std::exp2(-4.0 * k / power)));
  }
  return slopes;
}

void AlibiPositions::BiasScores(const ScoreRows& rows) const {
  for (int i = 0; i < rows.length; ++i) {
    float* row = rows.scores + static_cast<size_t>(i) * rows.length;
    for (int j = 0; j < rows.length; ++j) {
      row[j] -= slopes_[rows.head] * static_cast<float>(std::abs(i - j));
    }
  }
}

void AlibiPositions::WriteMatrix(int length, float* matrix) const {
  for (int distance = 0; distance < length; ++distance) {
    for (float slope : slopes_) *matrix++ = -slope * static_cast<float>(distance);
  }
}

}  // namespace contexture::nn
