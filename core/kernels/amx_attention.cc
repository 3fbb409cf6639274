#include <algorithm>
#include <cmath>

#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"
#include "core/kernels/mixed_transpose.h"

namespace contexture::kernels::mixed::amx {
namespace {

constexpr int kRows = 16;        // queries of a work item
constexpr int kTile = 512;       // bfloat16 elements of a tile
constexpr int kScoreTile = 256;  // floats of a tile

// The scratch memory of a call, cut up. Work item i (16 queries of a head) is multiplied with the
// keys, turned into weights, and multiplied with the values in three successive steps, so that the
// tile unit and the vector unit work on different items at the same time. Hence two score and
// weight buffers, and three value buffers: a head's values are still needed while the next head's
// keys are.
struct Scratch {
  uint16_t* keys;        // [key tiles][kSteps] tiles
  uint16_t* values[3];   // [key pairs of tiles][2 * kSteps] tiles
  float* scores[2];      // [key tiles] tiles of [16 queries][16 keys]
  uint16_t* weights[2];  // [key pairs of tiles] tiles of [16 queries][32 keys]
  float* context;        // [16, head_size]
  float inverse[2][kRows];
};

template <int kSteps>  // head_size / 32
class Attention {
 public:
  explicit Attention(const AttentionArgs& args)
      : args_(args),
        keys_(args.keys()),
        key_tiles_((keys_ + 15) / 16),
        key_pairs_((keys_ + 31) / 32),
        items_per_head_((args.length + 15) / 16) {
    const int tail = keys_ % 16;
    tail_mask_ = static_cast<__mmask16>(tail == 0 ? 0xffff : (1u << tail) - 1);
    Cut(args.scratch);
  }

  void Run() {
    const int items = args_.heads * items_per_head_;
    for (int item = -1; item <= items; ++item) Step(item, items);
  }

 private:
  static constexpr int kHead = 32 * kSteps;
  static constexpr int kValueTiles = 2 * kSteps;

  void Cut(char* scratch) {
    const auto take = [&scratch](size_t bytes) {
      char* at = scratch;
      scratch += (bytes + 63) / 64 * 64;
      return at;
    };
    s_.keys = reinterpret_cast<uint16_t*>(take(2ul * key_tiles_ * kSteps * kTile));
    for (auto& v : s_.values)
      v = reinterpret_cast<uint16_t*>(take(2ul * key_pairs_ * kValueTiles * kTile));
    for (auto& s : s_.scores) s = reinterpret_cast<float*>(take(4ul * key_pairs_ * 2 * kScoreTile));
    for (auto& w : s_.weights) w = reinterpret_cast<uint16_t*>(take(2ul * key_pairs_ * kTile));
    s_.context = reinterpret_cast<float*>(take(4ul * kRows * kHead));
  }

  // Multiplies item + 1 with the keys, softmaxes item, multiplies item - 1 with the values.
  void Step(int item, int items) {
    const int next = item + 1, previous = item - 1;
    const bool multiply_keys = next < items, softmax = item >= 0 && item < items;
    const bool multiply_values = previous >= 0;
    if (multiply_keys) BeginKeys(next);
    if (multiply_values) ZeroContext();
    const uint16_t* weights = s_.weights[previous & 1];
    const uint16_t* values = multiply_values ? s_.values[previous / items_per_head_ % 3] : nullptr;
    const int rows = softmax ? RowsOf(item) : 0;
    const int groups = (rows + 3) / 4;
    int key = multiply_keys ? 0 : key_tiles_, pair = multiply_values ? 0 : key_pairs_;
    for (int group = 0; group < groups; ++group) {
      for (const int end = key_tiles_ * (group + 1) / groups; key < end; ++key)
        MultiplyKeys(next, key);
      for (const int end = key_pairs_ * (group + 1) / groups; pair < end; ++pair) {
        MultiplyValues(weights, values, pair);
      }
      SoftmaxRows(item, group * 4);
    }
    for (; key < key_tiles_; ++key) MultiplyKeys(next, key);
    for (; pair < key_pairs_; ++pair) MultiplyValues(weights, values, pair);
    if (multiply_values) StoreContext(previous);
  }

  int RowsOf(int item) const {
    return std::min(kRows, args_.length - item % items_per_head_ * kRows);
  }

  void BeginKeys(int item) {
    const int head = item / items_per_head_;
    if (item % items_per_head_ == 0) {
      PackKeys(head);
      PackValues(head);
    }
    const uint16_t* query = args_.query + head * kHead +
                            static_cast<size_t>(item % items_per_head_) * kRows * args_.stride;
    const long bytes = args_.stride * 2L;
    _tile_loadd(4, query, bytes);
    if constexpr (kSteps == 2) _tile_loadd(5, query + 32, bytes);
  }

  void PackKeys(int head) {
    for (int j = 0; j < key_tiles_; ++j) {
      for (int step = 0; step < kSteps; ++step) {
        const uint16_t* rows =
            args_.key + static_cast<size_t>(j) * 16 * args_.stride + head * kHead + step * 32;
        Transpose16(rows, args_.stride, std::min(16, keys_ - j * 16),
                    reinterpret_cast<__m512i*>(s_.keys + (j * kSteps + step) * kTile));
      }
    }
  }

  void PackValues(int head) {
    uint16_t* packed = s_.values[head % 3];
    for (int j = 0; j < key_pairs_ * 16; ++j) {
      for (int step = 0; step < kSteps; ++step) {
        const uint16_t* row =
            args_.value + static_cast<size_t>(2 * j) * args_.stride + head * kHead + step * 32;
        const __m512i zero = _mm512_setzero_si512();
        const __m512i a = 2 * j < keys_ ? _mm512_loadu_si512(row) : zero;
        const __m512i b = 2 * j + 1 < keys_ ? _mm512_loadu_si512(row + args_.stride) : zero;
        uint16_t* tile =
            packed + static_cast<size_t>(j / 16 * kValueTiles + 2 * step) * kTile + j % 16 * 32;
        InterleaveRows(a, b, tile, tile + kTile);
      }
    }
  }

  // Tiles: 0 (and 1) scores, 4 (and 5) queries, 1 or 6 a right operand, 7 weights; context in 2, 3
  // (and 6, 7 for a head of 64, whose weights then go through 1 and values through 0).
  void MultiplyKeys(int item, int j) {
    float* scores = s_.scores[item & 1] + static_cast<size_t>(j) * kScoreTile;
    const uint16_t* keys = s_.keys + static_cast<size_t>(j) * kSteps * kTile;
    _tile_zero(0);
    _tile_loadd(1, keys, 64);
    _tile_dpbf16ps(0, 4, 1);
    if constexpr (kSteps == 2) {
      _tile_loadd(1, keys + kTile, 64);
      _tile_dpbf16ps(0, 5, 1);
    }
    _tile_stored(0, scores, 64);
  }

  static void ZeroContext() {
    _tile_zero(2);
    _tile_zero(3);
    if constexpr (kSteps == 2) {
      _tile_zero(6);
      _tile_zero(7);
    }
  }

  static void MultiplyValues(const uint16_t* weights, const uint16_t* values, int pair) {
    values += static_cast<size_t>(pair) * kValueTiles * kTile;
    _tile_loadd(1, weights + static_cast<size_t>(pair) * kTile, 64);
    _tile_loadd(0, values, 64);
    _tile_dpbf16ps(2, 1, 0);
    _tile_loadd(0, values + kTile, 64);
    _tile_dpbf16ps(3, 1, 0);
    if constexpr (kSteps == 2) {
      _tile_loadd(0, values + 2 * kTile, 64);
      _tile_dpbf16ps(6, 1, 0);
      _tile_loadd(0, values + 3 * kTile, 64);
      _tile_dpbf16ps(7, 1, 0);
    }
  }

  // Rows [first, first + 4) of an item's scores become weights; spare rows of the last group are
  // harmless.
  void SoftmaxRows(int item, int first) {
    const float* scores = s_.scores[item & 1] + first * 16;
    uint16_t* weights = s_.weights[item & 1] + first * 32;
    const Vector lowest = _mm512_set1_ps(-3.0e38f);
    const Vector scale = _mm512_set1_ps(args_.scale * 1.44269504f);
    Vector shift[4], sum[4], max[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      max[r] = _mm512_mask_blend_ps(
          tail_mask_, lowest,
          _mm512_load_ps(scores + static_cast<size_t>(key_tiles_ - 1) * kScoreTile + r * 16));
    }
    for (int j = 0; j < key_tiles_ - 1; ++j) {
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        max[r] = _mm512_max_ps(
            max[r], _mm512_load_ps(scores + static_cast<size_t>(j) * kScoreTile + r * 16));
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      shift[r] = _mm512_set1_ps(-args_.scale * 1.44269504f * _mm512_reduce_max_ps(max[r]));
      sum[r] = _mm512_setzero_ps();
    }
    for (int pair = 0; pair < key_pairs_; ++pair) {
      const bool last = pair == key_pairs_ - 1;
      const __mmask16 mask0 =
          last && (key_tiles_ & 1) ? tail_mask_ : static_cast<__mmask16>(0xffff);
      const __mmask16 mask1 = !last            ? static_cast<__mmask16>(0xffff)
                              : key_tiles_ & 1 ? static_cast<__mmask16>(0)
                                               : tail_mask_;
      const float* tile = scores + static_cast<size_t>(pair) * 2 * kScoreTile;
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        const Vector a = _mm512_maskz_mov_ps(
            mask0, Exp2<false>(_mm512_fmadd_ps(_mm512_load_ps(tile + r * 16), scale, shift[r])));
        const Vector b = _mm512_maskz_mov_ps(
            mask1, Exp2<false>(_mm512_fmadd_ps(_mm512_load_ps(tile + kScoreTile + r * 16), scale,
                                               shift[r])));
        sum[r] = _mm512_add_ps(sum[r], _mm512_add_ps(a, b));
        _mm512_store_si512(weights + static_cast<size_t>(pair) * kTile + r * 32, Narrow(a, b));
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r)
      s_.inverse[item & 1][first + r] = 1.0f / _mm512_reduce_add_ps(sum[r]);
  }

  void StoreContext(int item) {
    _tile_stored(2, s_.context, kHead * 4L);
    _tile_stored(3, s_.context + 16, kHead * 4L);
    if constexpr (kSteps == 2) {
      _tile_stored(6, s_.context + 32, kHead * 4L);
      _tile_stored(7, s_.context + 48, kHead * 4L);
    }
    const int head = item / items_per_head_, first = item % items_per_head_ * kRows;
    for (int r = 0; r < RowsOf(item); ++r) {
      const Vector inverse = _mm512_set1_ps(s_.inverse[item & 1][r]);
      const size_t at = static_cast<size_t>(first + r) * args_.context_stride + head * kHead;
#pragma GCC unroll 2
      for (int step = 0; step < kSteps; ++step) {
        const float* from = s_.context + r * kHead + step * 32;
        const Vector low = _mm512_mul_ps(inverse, _mm512_load_ps(from));
        const Vector high = _mm512_mul_ps(inverse, _mm512_load_ps(from + 16));
        if (args_.context != nullptr) {
          _mm512_storeu_si512(args_.context + at + step * 32, Narrow(low, high));
        } else {
          _mm512_storeu_ps(args_.float_context + at + step * 32, low);
          _mm512_storeu_ps(args_.float_context + at + step * 32 + 16, high);
        }
      }
    }
  }

  const AttentionArgs& args_;
  const int keys_;
  const int key_tiles_;  // of 16 keys
  const int key_pairs_;  // of 32 keys
  const int items_per_head_;
  __mmask16 tail_mask_;
  Scratch s_;
};

}  // namespace

// The tiles take what BERT has; the vector unit takes the rest.
void AttendHeads(const AttentionArgs& args) {
  const bool masked = args.causal || args.window != 0;
  const bool biased = args.alibi_slopes != nullptr || args.distance_bias != nullptr;
  const bool grouped = args.key_value_heads != 0 && args.key_value_heads != args.heads;
  if (masked || biased || grouped || args.head_size > 64) {
    return avx512::AttendHeads(args);
  }
  if (args.head_size == 32) {
    Attention<1>(args).Run();
  } else {
    Attention<2>(args).Run();
  }
}

}  // namespace contexture::kernels::mixed::amx
