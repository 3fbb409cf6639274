#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/base/cpu_info.h"
#include "core/kernels/vector_kernels.h"

namespace contexture::kernels {

// Normal values with a fixed seed.
inline AlignedBuffer<float> RandomFloats(size_t count, int seed, float scale = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  AlignedBuffer<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = normal(generator);
  return values;
}

// The instruction sets whose kernels differ and run on this machine.
inline std::vector<Isa> TestableIsas() {
  std::vector<Isa> isas = {Isa::kGeneric};
  for (Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    if (DetectIsa() >= isa) isas.push_back(isa);
  }
  return isas;
}

inline float MaxDifference(const AlignedBuffer<float>& a, const AlignedBuffer<float>& b) {
  float worst = a.size() == b.size() ? 0.0f : INFINITY;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const float difference = std::fabs(a[i] - b[i]);
    if (!(difference <= worst)) worst = difference;  // NaN counts
  }
  return worst;
}

// Absolute tolerances against the double-precision reference, for inputs of order 1. float has
// 2^-24 = 6e-8 relative rounding; a sum of k products of order 1 / sqrt(k) drifts by about sqrt(k)
// of it.
inline constexpr float kElementwiseTolerance = 2e-6f;
inline constexpr float kProductTolerance = 1e-5f;

}  // namespace contexture::kernels
