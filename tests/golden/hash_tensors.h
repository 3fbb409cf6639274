#pragma once

#include <cstdint>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/support/safetensors_writer.h"

namespace contexture::test_support {

// A multiple of 2^-23 in [-1, 1) from the finaliser of SplitMix64, as hash_floats of
// make_transformer_encoder.py.
inline float HashFloat(uint64_t tensor, uint64_t element) {
  uint64_t x = (tensor << 32) + element;
  x *= 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  x = x ^ (x >> 31);
  return static_cast<float>(static_cast<double>(x >> 40) * 0x1p-23 - 1.0);
}

// Tensor INDEX of a golden case, from its name, shape, centre and spread.
inline StoredTensor MakeTensor(uint64_t index, const nlohmann::json& recipe) {
  const std::vector<int64_t> shape = recipe.at("shape");
  const float centre = recipe.at("centre"), spread = recipe.at("spread");
  size_t count = 1;
  for (int64_t extent : shape) count *= static_cast<size_t>(extent);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = centre + spread * HashFloat(index, i);
  return Float32Tensor(recipe.at("name").get<std::string>(), shape, values);
}

}  // namespace contexture::test_support
