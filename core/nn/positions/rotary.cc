#include "core/nn/positions/rotary.h"

#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

namespace contexture::nn {

RotaryPositions::RotaryPositions(int num_positions, int head_size, float theta)
    : head_size_(head_size), turns_(static_cast<size_t>(num_positions) * head_size) {
  const int half = head_size / 2;
  std::vector<double> frequencies(half);
  for (int i = 0; i < half; ++i) {
    frequencies[i] = std::pow(static_cast<double>(theta), -2.0 * i / head_size);
  }
  for (int position = 0; position < num_positions; ++position) {
    float* turn = turns_.data() + static_cast<size_t>(position) * head_size;
    for (int i = 0; i < half; ++i) {
      turn[i] = static_cast<float>(std::cos(position * frequencies[i]));
      turn[half + i] = static_cast<float>(std::sin(position * frequencies[i]));
    }
  }
}

void RotaryPositions::RotateQueryKey(const QueryKeyRows& rows) const {
  for (int position = 0; position < rows.length; ++position) {
    const float* turn = turns_.data() + static_cast<size_t>(position) * head_size_;
    const size_t at = static_cast<size_t>(position) * rows.stride;
    Turn(turn, rows.num_heads, rows.query + at);
    Turn(turn, rows.num_heads, rows.key + at);
  }
}

void RotaryPositions::Turn(const float* turn, int num_heads, float* row) const {
  const int half = head_size_ / 2;
  for (int head = 0; head < num_heads; ++head, row += head_size_) {
    for (int i = 0; i < half; ++i) {
      const float first = row[i], second = row[half + i];
      row[i] = first * turn[i] - second * turn[half + i];
      row[half + i] = second * turn[i] + first * turn[half + i];
    }
  }
}

void RotaryPositions::WriteMatrix(int length, float* matrix) const {
  std::memcpy(matrix, turns_.data(), static_cast<size_t>(length) * head_size_ * sizeof(float));
}

}  // namespace contexture::nn
