#include "core/nn/positions/rotary.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "core/base/cpu_info.h"
#include "core/kernels/vector_kernels.h"

namespace contexture::nn {

namespace {

// Llama 3.1's rule: a frequency that turns less than low_frequency_factor times over the original
// length is stretched by the factor, one that turns more than high_frequency_factor times is kept,
// and those between are blended.
double StretchLlama3(const RotaryConfig& config, double frequency) {
  const double turns = config.original_length * frequency / (2 * M_PI);
  const double low = config.low_frequency_factor, high = config.high_frequency_factor;
  const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
  return frequency * (kept + (1 - kept) / config.factor);
}

}  // namespace

std::vector<double> RotaryFrequencies(const RotaryConfig& config, int head_size) {
  const bool ntk = config.scaling == RotaryScaling::kNtk;
  const double theta = static_cast<double>(config.theta) * (ntk ? config.factor : 1.0);
  std::vector<double> frequencies(head_size / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double& frequency = frequencies[i];
    frequency = std::pow(theta, -2.0 * static_cast<double>(i) / head_size);
    if (config.scaling == RotaryScaling::kLinear) frequency /= config.factor;
    if (ntk) frequency /= std::pow(config.factor, 2.0 / head_size);
    if (config.scaling == RotaryScaling::kLlama3) frequency = StretchLlama3(config, frequency);
  }
  return frequencies;
}

RotaryPositions::RotaryPositions(int num_positions, int head_size, const RotaryConfig& config)
    : head_size_(head_size), turns_(static_cast<size_t>(num_positions) * head_size) {
  const int half = head_size / 2;
  const std::vector<double> frequencies = RotaryFrequencies(config, head_size);
  for (int position = 0; position < num_positions; ++position) {
    float* turn = turns_.data() + static_cast<size_t>(position) * head_size;
    for (int i = 0; i < half; ++i) {
      turn[i] = static_cast<float>(std::cos(position * frequencies[i]));
      turn[half + i] = static_cast<float>(std::sin(position * frequencies[i]));
    }
  }
}

void RotaryPositions::RotateQueryKey(const QueryKeyRows& rows) const {
  const kernels::VectorKernels& kernels = kernels::GetVectorKernels(DetectIsa());
  kernels::RotateArgs args = {.rows = rows.query,
                              .turns = turns_.data(),
                              .num_rows = rows.length,
                              .num_heads = rows.num_heads,
                              .head_size = head_size_,
                              .stride = rows.stride};
  kernels.rotate(args);
  args.rows = rows.key;
  if (rows.num_key_heads != 0) args.num_heads = rows.num_key_heads;
  kernels.rotate(args);
}

void RotaryPositions::WriteMatrix(int length, float* matrix) const {
  std::memcpy(matrix, turns_.data(), static_cast<size_t>(length) * head_size_ * sizeof(float));
}

}  // namespace contexture::nn
