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

}  // namespace

void PackWeights(Format format, const char* const* rows, int count, int in, uint16_t* packed) {
  constexpr int kTile = 512;  // elements: 16 depth pairs x 16 columns x 2
  const int steps = RoundUpToPanel(in) / kDepth;
  for (int n = 0; n < count; ++n) {
    uint16_t* panel = packed + static_cast<size_t>(n / kPanel) * steps * StepElements(format);
    for (int k = 0; k < in; ++k) {
      float value;
      std::memcpy(&value, rows[n] + static_cast<size_t>(k) * sizeof(float), sizeof(value));
      const int column = n % kPanel;
      uint16_t* at = panel + static_cast<size_t>(k / kDepth) * StepElements(format) +
                     column / 16 * kTile + k % kDepth / 2 * 32 + column % 16 * 2 + k % 2;
      *at = Round(value);
      if (format == Format::kSplit) at[2 * kTile] = Round(value - Widen(*at));
    }
  }
}

}  // namespace contexture::kernels::mixed
