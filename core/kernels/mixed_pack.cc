#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/kernels/mixed_kernels.h"

namespace contexture::kernels::mixed {
namespace {

uint16_t Round(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  if (std::isnan(x))
    return static_cast<uint16_t>(bits >> 16 | 0x40);  // rounding could make it a zero
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
float Widen(uint16_t x) {
  const uint32_t bits = static_cast<uint32_t>(x) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float ReadFloat(const char* row, int k) {
  float value;
  std::memcpy(&value, row + static_cast<size_t>(k) * sizeof(float), sizeof(value));
  return value;
}

}  // namespace

void PackWeights(Format format, const char* const* rows, int count, int in, uint16_t* packed) {
  constexpr int kTile = 512;  // elements: 16 depth pairs x 16 columns x 2
  const int steps = RoundUpToPanel(in) / kDepth;
  for (int n = 0; n < count; ++n) {
    uint16_t* panel = packed + static_cast<size_t>(n / kPanel) * steps * StepElements(format);
    for (int k = 0; k < in; ++k) {
      const float value = ReadFloat(rows[n], k);
      const int column = n % kPanel;
      uint16_t* at = panel + static_cast<size_t>(k / kDepth) * StepElements(format) +
                     column / 16 * kTile + k % kDepth / 2 * 32 + column % 16 * 2 + k % 2;
      *at = Round(value);
      if (format == Format::kSplit) at[2 * kTile] = Round(value - Widen(*at));
    }
  }
}

void PackInt8Weights(const char* const* rows, int count, int in, const Int8Packing& packing,
                     const Int8Weights& weights) {
  constexpr int kStep = StepDepth(Format::kInt8), kTileBytes = 1024;
  const int steps = StepsFor(Format::kInt8, in);
  auto* bytes = reinterpret_cast<int8_t*>(weights.packed);
  for (int n = 0; n < count; ++n) {
    const auto weight = [&](int k) {
      return ReadFloat(rows[n], k) / (packing.factors == nullptr ? 1.0f : packing.factors[k]);
    };
    int8_t* panel = bytes + static_cast<size_t>(n / kPanel) * steps * 2 * kTileBytes;
    const int column = n % kPanel;
    for (int first = 0; first < in; first += packing.scale_depth) {
      const int end = std::min(in, first + packing.scale_depth);
      float largest = 0;
      for (int k = first; k < end; ++k) largest = std::max(largest, std::fabs(weight(k)));
      // A weight that is not a finite number makes its whole output so, as it would in float.
      for (int k = first; k < end; ++k) largest += weight(k) * 0.0f;
      const float scale = largest == 0 ? 1.0f : largest / 127;
      const float inverse = std::isfinite(scale) ? 1 / scale : 0.0f;
      weights.scale[static_cast<size_t>(first / packing.scale_depth) * count + n] = scale;
      for (int k = first; k < end; ++k) {
        const auto value = static_cast<int8_t>(inverse == 0 ? 0 : std::lrint(weight(k) * inverse));
        panel[static_cast<size_t>(k / kStep) * 2 * kTileBytes + column / 16 * kTileBytes +
              k % kStep / 4 * 64 + column % 16 * 4 + k % 4] = value;
        weights.column_sums[static_cast<size_t>(k / packing.depth_chunk) * count + n] +=
            scale * static_cast<float>(value);
      }
    }
  }
}

}  // namespace contexture::kernels::mixed
