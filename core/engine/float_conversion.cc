#include "core/engine/float_conversion.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace contexture {
namespace {

static_assert(std::endian::native == std::endian::little,
              "answers are written as they lie in memory");

template <typename Element, typename Convert>
void WriteConverted(const float* values, int count, char* destination, Convert convert) {
  for (int i = 0; i < count; ++i) {
    const Element element = convert(values[i]);
    std::memcpy(destination + static_cast<size_t>(i) * sizeof(Element), &element, sizeof(Element));
  }
}

void WriteBits(const float* values, int count, char* destination) {
  for (int first = 0; first < count; first += 8) {
    uint8_t byte = 0;
    for (int i = first; i < std::min(first + 8, count); ++i) {
      if (values[i] > 0.0f) byte |= static_cast<uint8_t>(0x80 >> (i - first));
    }
    destination[first / 8] = static_cast<char>(byte);
  }
}

}  // namespace

uint16_t ToBfloat16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return static_cast<uint16_t>((bits >> 16) | 0x40);  // keep it a quiet NaN
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

uint16_t ToFloat16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;   // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // rounds to 65520 or more: infinity
  if (magnitude < 0x38800000) {                       // below 2^-14: subnormal, a multiple of 2^-24
    const float steps = std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p24f);
    return sign | static_cast<uint16_t>(steps);
  }
  const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return sign | static_cast<uint16_t>((rounded - 0x38000000) >> 13);
}

int8_t ToInt8(float x) {
  if (std::isnan(x)) return 0;
  return static_cast<int8_t>(std::clamp(std::nearbyint(x * 127.0f), -127.0f, 127.0f));
}

int8_t ToRangedInt8(float x, float minimum, float step) {
  if (std::isnan(x)) return 0;
  return static_cast<int8_t>(std::clamp(std::floor((x - minimum) / step), 0.0f, 255.0f) - 128.0f);
}

void WriteElements(const float* values, int count, DataType type, char* destination) {
  switch (type) {
    case DataType::kFloat32:
      std::memcpy(destination, values, static_cast<size_t>(count) * sizeof(float));
      return;
    case DataType::kBfloat16:
      return WriteConverted<uint16_t>(values, count, destination, ToBfloat16);
    case DataType::kFloat16:
      return WriteConverted<uint16_t>(values, count, destination, ToFloat16);
    case DataType::kInt8:
      return WriteConverted<int8_t>(values, count, destination, ToInt8);
    case DataType::kBinary:
      return WriteBits(values, count, destination);
    case DataType::kInt64:
      return;  // not an output type
  }
}

}  // namespace contexture
