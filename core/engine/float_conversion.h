#pragma once

#include <cstdint>

#include "core/tensor/data_type.h"

namespace contexture {

// Rounding to nearest even; infinities, NaN and subnormals are kept (IEEE 754 binary16, bfloat16).
uint16_t ToBfloat16(float x);
uint16_t ToFloat16(float x);
// round(127 x), half to even, clamped to [-127, 127]; NaN becomes 0.
int8_t ToInt8(float x);

// Writes `count` floats as elements of `type` (kFloat32, kBfloat16, kFloat16, kInt8),
// little-endian, to `destination`, which needs no alignment.
void WriteElements(const float* values, int count, DataType type, char* destination);

}  // namespace contexture
