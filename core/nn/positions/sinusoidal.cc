#include "core/nn/positions/sinusoidal.h"

#include <cmath>
#include <cstddef>
#include <vector>

namespace contexture::nn {

double FrequencyByPower(int pair, int dimensions) {
  return 1.0 / std::pow(10000.0, 2.0 * pair / dimensions);
}

double FrequencyByExponential(int pair, int dimensions) {
  return std::exp(2.0 * pair * (-std::log(10000.0) / dimensions));
}

void WriteSinusoidal(int length, int dimensions, double (*frequency)(int pair, int dimensions),
                     float* matrix) {
  std::vector<double> frequencies(dimensions / 2);
  for (size_t pair = 0; pair < frequencies.size(); ++pair) {
    frequencies[pair] = frequency(static_cast<int>(pair), dimensions);
  }
  for (int position = 0; position < length; ++position) {
    float* row = matrix + static_cast<size_t>(position) * dimensions;
    for (size_t pair = 0; pair < frequencies.size(); ++pair) {
      const double angle = position * frequencies[pair];
      row[2 * pair] = static_cast<float>(std::sin(angle));
      row[2 * pair + 1] = static_cast<float>(std::cos(angle));
    }
  }
}

SinusoidalPositions::SinusoidalPositions(int num_positions, int hidden_size)
    : PositionTable(num_positions, hidden_size) {
  WriteSinusoidal(num_positions, hidden_size, FrequencyByExponential, rows_.data());
}

}  // namespace contexture::nn
