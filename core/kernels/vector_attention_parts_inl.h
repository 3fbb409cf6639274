// What attention over contents and over relative positions share: its scratch, and products of
// tiles. Included once per instruction set; no include guard on purpose.

namespace contexture::CTX_SIMD {

using kernels::AttentionArgs;

constexpr int RoundUp(int n, int to) { return (n + to - 1) / to * to; }
constexpr int Least(int a, int b) { return a < b ? a : b; }

// Keys [begin, end).
struct KeyRange {
  int begin, end;
};

// The scratch of AttentionArgs, cut up.
struct AttentionScratch {
  int key_stride;         // keys rounded up to whole vectors
  int value_stride;       // of `value`
  float* key_transposed;  // [head_size, key_stride], zeros past key_length
  float* scores;          // [kTileRows, key_stride]
  float* relative;        // what vector_relative_scores_inl.h uses
  const float* value;     // [key_length, value_stride], readable in whole vectors
};

inline AttentionScratch PrepareAttention(const AttentionArgs& args) {
  AttentionScratch s;
  s.key_stride = RoundUp(args.key_length, F32::kLanes);
  s.key_transposed = args.scratch;
  s.scores = s.key_transposed + static_cast<size_t>(args.head_size) * s.key_stride;
  for (int j = 0; j < args.key_length; j += F32::kLanes) {
    for (int d = 0; d < args.head_size; d += F32::kLanes) {
      Transpose({.rows = args.key + static_cast<size_t>(j) * args.stride + d,
                 .stride = args.stride,
                 .num_rows = Least(args.key_length - j, F32::kLanes),
                 .num_columns = Least(args.head_size - d, F32::kLanes),
                 .out = s.key_transposed + static_cast<size_t>(d) * s.key_stride + j,
                 .out_stride = s.key_stride});
    }
  }
  float* copy = s.scores + static_cast<size_t>(F32::kTileRows) * s.key_stride;
  s.relative = copy + static_cast<size_t>(args.key_length) * RoundUp(args.head_size, F32::kLanes);
  s.value = args.value;
  s.value_stride = args.stride;
  if (args.head_size % F32::kLanes == 0) return s;
  // A head that ends inside a vector: copy the values with zeros behind, so that whole vectors are
  // read.
  s.value_stride = RoundUp(args.head_size, F32::kLanes);
  for (int j = 0; j < args.key_length; ++j) {
    const float* from = args.value + static_cast<size_t>(j) * args.stride;
    float* to = copy + static_cast<size_t>(j) * s.value_stride;
    for (int d = 0; d < args.head_size; d += F32::kLanes) {
      LoadLanes(from + d, Least(args.head_size - d, F32::kLanes)).Store(to + d);
    }
  }
  s.value = copy;
  return s;
}

// tile[r][v] = sum over k of a[r][k] * b[k][v * lanes ...], k in order: the sum of an element is
// the same wherever its row stands in a tile.
template <int kRows, int kVectors>
inline void MultiplyTile(const float* const* a, const float* b, int b_stride, int depth,
                         F32 (&tile)[kRows][kVectors]) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) tile[r][v] = F32::Zero();
  }
  for (int k = 0; k < depth; ++k) {
    F32 column[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) column[v] = F32::Load(b + v * F32::kLanes);
    b += b_stride;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F32 x = F32::Set(a[r][k]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) tile[r][v] = MulAdd(x, column[v], tile[r][v]);
    }
  }
}

}  // namespace contexture::CTX_SIMD
