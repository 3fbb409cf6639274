#include "tests/core/kernels/emulation/tiles.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace contexture::emulation {
namespace {

constexpr int kTiles = 8, kMaxRows = 16, kMaxBytes = 64;

struct Tile {
  int rows = 0, bytes = 0;  // 0: not configured
  uint8_t data[kMaxRows][kMaxBytes] = {};
};
thread_local Tile tiles[kTiles];

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "the instruction would raise #UD: %s\n", what);
  std::abort();
}

Tile& Configured(int tile) {
  Require(tile >= 0 && tile < kTiles && tiles[tile].rows > 0, "tile is not configured");
  return tiles[tile];
}

template <typename T>
T Element(const Tile& tile, int row, int index) {
  T value;
  std::memcpy(&value, tile.data[row] + index * sizeof(T), sizeof(T));
  return value;
}
template <typename T>
void SetElement(Tile& tile, int row, int index, T value) {
  std::memcpy(tile.data[row] + index * sizeof(T), &value, sizeof(T));
}

struct Product {
  Tile& sums;
  const Tile &left, &right;
  int columns() const { return sums.bytes / 4; }
  int depth() const { return left.bytes / 4; }
};

Product Check(int sums, int left, int right) {
  Require(sums != left && sums != right && left != right, "a tile is named twice");
  const Product p = {Configured(sums), Configured(left), Configured(right)};
  Require(p.sums.bytes % 4 == 0 && p.left.bytes % 4 == 0, "rows are not of 32-bit elements");
  Require(p.sums.rows == p.left.rows, "sums and left have different rows");
  Require(p.sums.bytes == p.right.bytes, "sums and right have different columns");
  Require(p.left.bytes == p.right.rows * 4, "left and right have different depths");
  return p;
}

float FlushDenormal(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}
float Widen(uint16_t x) {
  const uint32_t bits = static_cast<uint32_t>(x) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return FlushDenormal(value);
}

}  // namespace

void LoadTileConfig(const void* config) {
  const auto* bytes = static_cast<const uint8_t*>(config);
  Require(bytes[0] == 1, "palette is not 1");
  for (int i = 1; i < 16; ++i) Require(bytes[i] == 0, "a reserved byte or the start row is not 0");
  for (int t = 0; t < 16; ++t) {
    uint16_t columns;
    std::memcpy(&columns, bytes + 16 + 2 * t, sizeof(columns));
    const int rows = bytes[48 + t];
    Require((rows == 0) == (columns == 0), "rows without columns, or columns without rows");
    Require(rows <= kMaxRows && columns <= kMaxBytes, "a tile is too large");
    if (t >= kTiles) {
      Require(rows == 0, "there are 8 tiles");
      continue;
    }
    tiles[t] = Tile();
    tiles[t].rows = rows;
    tiles[t].bytes = columns;
  }
}

void ReleaseTiles() {
  for (Tile& tile : tiles) tile = Tile();
}

void LoadTile(int tile, const void* base, long stride) {
  Tile& to = Configured(tile);
  std::memset(to.data, 0, sizeof(to.data));
  for (int r = 0; r < to.rows; ++r) {
    std::memcpy(to.data[r], static_cast<const char*>(base) + r * stride, to.bytes);
  }
}

void StoreTile(int tile, void* base, long stride) {
  const Tile& from = Configured(tile);
  for (int r = 0; r < from.rows; ++r) {
    std::memcpy(static_cast<char*>(base) + r * stride, from.data[r], from.bytes);
  }
}

void ZeroTile(int tile) {
  Tile& to = Configured(tile);
  std::memset(to.data, 0, sizeof(to.data));
}

void DotBytes(int sums, int left, int right) {
  const Product p = Check(sums, left, right);
  for (int m = 0; m < p.sums.rows; ++m) {
    for (int k = 0; k < p.depth(); ++k) {
      for (int n = 0; n < p.columns(); ++n) {
        auto sum = Element<uint32_t>(p.sums, m, n);  // wraps
        for (int i = 0; i < 4; ++i) {
          const int32_t product =
              Element<uint8_t>(p.left, m, 4 * k + i) * Element<int8_t>(p.right, k, 4 * n + i);
          sum += static_cast<uint32_t>(product);
        }
        SetElement(p.sums, m, n, sum);
      }
    }
  }
}

void DotBfloats(int sums, int left, int right) {
  const Product p = Check(sums, left, right);
  float factors[kMaxRows][2 * kMaxRows];
  for (int k = 0; k < p.depth(); ++k) {
    for (int i = 0; i < 2 * p.columns(); ++i)
      factors[k][i] = Widen(Element<uint16_t>(p.right, k, i));
  }
  for (int m = 0; m < p.sums.rows; ++m) {
    float parts[2 * kMaxRows] = {};
    for (int k = 0; k < p.depth(); ++k) {
      const float x[2] = {Widen(Element<uint16_t>(p.left, m, 2 * k)),
                          Widen(Element<uint16_t>(p.left, m, 2 * k + 1))};
      for (int i = 0; i < 2 * p.columns(); ++i) {
        parts[i] = FlushDenormal(std::fma(x[i % 2], factors[k][i], parts[i]));
      }
    }
    for (int n = 0; n < p.columns(); ++n) {
      const float both = FlushDenormal(parts[2 * n] + parts[2 * n + 1]);
      SetElement(p.sums, m, n, FlushDenormal(FlushDenormal(Element<float>(p.sums, m, n)) + both));
    }
  }
}

}  // namespace contexture::emulation
