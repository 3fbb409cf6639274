#pragma once

#include <cstdint>

#include "core/tensor/data_type.h"

namespace contexture {

// Rounding to nearest even; infinities, NaN and subnormals are kept (IEEE 754 binary16, bfloat16).
uint16_t ToBfloat16(float x);
uint16_t ToFloat16(float x);
// round(127 x), half to even, clamped to [-127, 127]; NaN becomes 0.
int8_t ToInt8(float x);

// floor((x - minimum) / step), clamped to [0, 255], less 128, as sentence-transformers'
// quantize_embeddings; NaN becomes 0.
int8_t ToRangedInt8(float x, float minimum, float step);

// Writes `count` floats as elements of `type` (kFloat32, kBfloat16, kFloat16, kInt8, kBinary),
// little-endian, to `destination`, which needs no alignment. Bits are 1 where x > 0, the first in
// the highest bit of its byte, and the last byte is filled with zeros (numpy.packbits).
void WriteElements(const float* values, int count, DataType type, char* destination);

}  // namespace contexture
