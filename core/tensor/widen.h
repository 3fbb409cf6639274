#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/tensor/data_type.h"

namespace contexture {

inline float Bfloat16ToFloat(uint16_t x) { return std::bit_cast<float>(uint32_t{x} << 16); }

// IEEE 754 binary16.
inline float Float16ToFloat(uint16_t x) {
  const uint32_t sign = (x & 0x8000u) << 16;
  const uint32_t exponent = (x >> 10) & 0x1f, fraction = x & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) {  // zero or subnormal: a multiple of 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign == 0 ? magnitude : -magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

// Whether Widen takes TYPE.
constexpr bool IsFloat(DataType type) {
  return type == DataType::kFloat32 || type == DataType::kBfloat16 || type == DataType::kFloat16;
}

// Writes COUNT elements of a floating-point TYPE at SOURCE, of any alignment, as floats. Exact.
inline void Widen(DataType type, const void* source, size_t count, float* target) {
  if (type == DataType::kFloat32) {
    std::memcpy(target, source, count * sizeof(float));
    return;
  }
  const bool brain = type == DataType::kBfloat16;
  for (size_t i = 0; i < count; ++i) {
    uint16_t element;
    std::memcpy(&element, static_cast<const char*>(source) + i * sizeof(element), sizeof(element));
    target[i] = brain ? Bfloat16ToFloat(element) : Float16ToFloat(element);
  }
}

}  // namespace contexture
