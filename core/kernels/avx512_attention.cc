#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"
#include "core/kernels/mixed_transpose.h"

#define CTX_MIXED_ISA avx512
// Each builds on the one before.
// clang-format off
#include "core/kernels/avx512_gemm_inl.h"
#include "core/kernels/avx512_bf16_inl.h"
// clang-format on

namespace contexture::kernels::mixed::avx512 {
namespace {

constexpr int kStep = 2 * kTile;  // elements of a depth step of a panel

inline __mmask16 FirstLanes(int n) {
  return n >= 16 ? static_cast<__mmask16>(0xffff)
                 : static_cast<__mmask16>(n <= 0 ? 0 : (1u << n) - 1);
}

// Keys [begin, end).
struct KeyRange {
  int begin, end;
};
// Which of the 16 keys from `key` on lie in it.
inline __mmask16 Lanes(KeyRange seen, int key) {
  return FirstLanes(seen.end - key) & static_cast<__mmask16>(~FirstLanes(seen.begin - key));
}

// Heads of a sequence: scores are the product of the queries with the packed keys, 32 keys a panel;
// contexts are the product of the softmax's weights with the packed values. A block of queries is
// multiplied with the panels that one of them sees.
class HeadAttention {
 public:
  explicit HeadAttention(const AttentionArgs& args)
      : args_(args),
        keys_seen_(args.keys()),
        steps_(args.head_size / 32),
        key_panels_((keys_seen_ + kPanel - 1) / kPanel),
        group_(args.key_value_heads == 0 ? 1 : args.heads / args.key_value_heads) {
    auto take = [scratch = args.scratch](size_t bytes) mutable {
      char* at = scratch;
      scratch += bytes;
      return at;
    };
    const size_t packed = sizeof(uint16_t) * key_panels_ * steps_ * kStep;
    keys_ = reinterpret_cast<uint16_t*>(take(packed));
    values_ = reinterpret_cast<uint16_t*>(take(packed));
    scores_ = reinterpret_cast<float*>(take(sizeof(float) * kMaxRows * padded_keys()));
    weights_ = reinterpret_cast<uint16_t*>(take(sizeof(uint16_t) * kMaxRows * padded_keys()));
  }

  void Run(int head) {
    if (head % group_ == 0) {
      PackKeys(head / group_);
      PackValues(head / group_);
    }
    head_ = head;
    ForEachBlock(args_.length, [&](int first, int rows) { AttendRows(first, rows); });
  }

 private:
  int padded_keys() const { return key_panels_ * kPanel; }

  void PackKeys(int head) {  // [panel][step][left, right 16 keys][unit][key]
    const uint16_t* first = args_.key + static_cast<size_t>(head) * args_.head_size;
    for (int half = 0; half < 2 * key_panels_; ++half) {
      const int valid = std::clamp(keys_seen_ - half * 16, 0, 16);
      for (int step = 0; step < steps_; ++step) {
        const uint16_t* rows = first + static_cast<size_t>(half) * 16 * args_.stride + step * 32;
        uint16_t* tile = keys_ + static_cast<size_t>(half / 2 * steps_ + step) * kStep +
                         half % 2 * static_cast<size_t>(kTile);
        Transpose16(rows, args_.stride, valid, reinterpret_cast<__m512i*>(tile));
      }
    }
  }

  void PackValues(int head) {  // [panel of 32 dimensions][step of 32 keys][left, right][pair][dim]
    const uint16_t* first = args_.value + static_cast<size_t>(head) * args_.head_size;
    for (int pair = 0; pair < padded_keys() / 2; ++pair) {
      for (int panel = 0; panel < steps_; ++panel) {
        const uint16_t* row = first + static_cast<size_t>(2 * pair) * args_.stride + panel * 32;
        const __m512i zero = _mm512_setzero_si512();
        const __m512i even = 2 * pair < keys_seen_ ? _mm512_loadu_si512(row) : zero;
        const __m512i odd =
            2 * pair + 1 < keys_seen_ ? _mm512_loadu_si512(row + args_.stride) : zero;
        uint16_t* tile = values_ + static_cast<size_t>(panel * key_panels_ + pair / 16) * kStep +
                         pair % 16 * static_cast<size_t>(32);
        InterleaveRows(even, odd, tile, tile + kTile);
      }
    }
  }

  KeyRange SeenKeys(int query) const {
    KeyRange seen = {0, keys_seen_};
    if (args_.causal) seen.end = std::min(seen.end, query + 1);
    if (args_.window == 0) return seen;
    return {std::max(0, query - args_.window), std::min(seen.end, query + args_.window + 1)};
  }

  // Scores, weights and contexts of queries [first, first + rows).
  void AttendRows(int first, int rows) {
    const size_t column = static_cast<size_t>(head_) * args_.head_size;
    const uint16_t* query = args_.query + static_cast<size_t>(first) * args_.stride + column;
    const int begin = SeenKeys(first).begin / kPanel;
    const int end = (SeenKeys(first + rows - 1).end + kPanel - 1) / kPanel;
    for (int panel = begin; panel < end; ++panel) {
      MultiplyBf16Rows(rows, {query, args_.stride, steps_},
                       keys_ + static_cast<size_t>(panel) * steps_ * kStep,
                       {scores_ + panel * kPanel, padded_keys(), false});
    }
    float inverse[kMaxRows];
    for (int r = 0; r < rows; ++r) {
      inverse[r] = WeighRow(first + r, {begin * kPanel, end * kPanel},
                            static_cast<size_t>(r) * padded_keys());
    }
    alignas(64) float context[kMaxRows * kPanel];
    for (int panel = 0; panel < steps_; ++panel) {
      MultiplyBf16Rows(rows, {weights_ + begin * kPanel, padded_keys(), end - begin},
                       values_ + static_cast<size_t>(panel * key_panels_ + begin) * kStep,
                       {context, kPanel, false});
      for (int r = 0; r < rows; ++r) {
        StoreContext(context + r * kPanel, inverse[r], first + r, column + panel * kPanel);
      }
    }
  }

  // The scores of a query at `row` of the scratch become weights for the keys of `block`.
  float WeighRow(int query, KeyRange block, size_t row) {
    const KeyRange seen = SeenKeys(query);
    constexpr float kLog2e = 1.44269504f;
    if (args_.alibi_slopes == nullptr && args_.distance_bias == nullptr) {
      return SoftmaxRow({scores_ + row, weights_ + row, seen, block, args_.scale * kLog2e});
    }
    BiasRow(query, block, scores_ + row);
    return SoftmaxRow({scores_ + row, weights_ + row, seen, block, kLog2e});
  }

  // Scales scores and adds the biases of their distances. Keys past the length have none that could
  // be read.
  void BiasRow(int query, KeyRange block, float* scores) const {
    const Vector scale = _mm512_set1_ps(args_.scale);
    const Vector slope =
        _mm512_set1_ps(args_.alibi_slopes == nullptr ? 0.0f : -args_.alibi_slopes[head_]);
    const float* biases = args_.distance_bias == nullptr
                              ? nullptr
                              : args_.distance_bias + head_ * args_.distance_stride;
    const Vector lane = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int j = block.begin; j < block.end; j += 16) {
      const Vector distance =
          _mm512_abs_ps(_mm512_add_ps(_mm512_set1_ps(static_cast<float>(j - query)), lane));
      Vector bias = _mm512_mul_ps(distance, slope);
      if (biases != nullptr) {
        bias = _mm512_add_ps(
            bias, _mm512_maskz_loadu_ps(FirstLanes(keys_seen_ - j), biases + (j - query)));
      }
      _mm512_store_ps(scores + j, _mm512_fmadd_ps(_mm512_load_ps(scores + j), scale, bias));
    }
  }

  struct SoftmaxArgs {
    const float* scores;
    uint16_t* weights;
    KeyRange seen;
    KeyRange block;  // whole panels
    float factor;    // of the scores, for powers of two
  };
  // Weights 2^(factor (s - max)) of the keys seen, not yet divided by their sum; zero for the rest
  // of the block. Returns 1 / sum.
  static float SoftmaxRow(const SoftmaxArgs& row) {
    const Vector lowest = _mm512_set1_ps(-3.0e38f);
    Vector max = lowest;
    for (int j = row.block.begin; j < row.block.end; j += 16) {
      max = _mm512_mask_max_ps(max, Lanes(row.seen, j), max, _mm512_load_ps(row.scores + j));
    }
    const Vector scale = _mm512_set1_ps(row.factor);
    const Vector shift = _mm512_set1_ps(-row.factor * _mm512_reduce_max_ps(max));
    Vector sum = _mm512_setzero_ps();
    for (int j = row.block.begin; j < row.block.end; j += 32) {
      Vector e[2];
      for (int half = 0; half < 2; ++half) {
        const int at = j + half * 16;
        e[half] = _mm512_maskz_mov_ps(
            Lanes(row.seen, at),
            Exp2<false>(_mm512_fmadd_ps(_mm512_load_ps(row.scores + at), scale, shift)));
        sum = _mm512_add_ps(sum, e[half]);
      }
      _mm512_store_si512(row.weights + j, Narrow(e[0], e[1]));
    }
    return 1.0f / _mm512_reduce_add_ps(sum);
  }

  void StoreContext(const float* context, float inverse, int row, size_t column) const {
    const Vector factor = _mm512_set1_ps(inverse);
    const Vector low = _mm512_mul_ps(factor, _mm512_load_ps(context));
    const Vector high = _mm512_mul_ps(factor, _mm512_load_ps(context + 16));
    if (args_.context == nullptr) {
      float* to = args_.float_context + static_cast<size_t>(row) * args_.context_stride + column;
      _mm512_storeu_ps(to, low);
      _mm512_storeu_ps(to + 16, high);
      return;
    }
    _mm512_storeu_si512(args_.context + static_cast<size_t>(row) * args_.context_stride + column,
                        Narrow(low, high));
  }

  const AttentionArgs& args_;
  const int keys_seen_;
  const int steps_;       // of depth in a head
  const int key_panels_;  // of 32 keys
  const int group_;       // heads that share a key and a value
  int head_ = 0;
  uint16_t *keys_, *values_;
  float* scores_;      // [kMaxRows, padded_keys]
  uint16_t* weights_;  // [kMaxRows, padded_keys]
};

}  // namespace

void AttendHeads(const AttentionArgs& args) {
  HeadAttention attention(args);
  for (int head = 0; head < args.heads; ++head) attention.Run(head);
}

}  // namespace contexture::kernels::mixed::avx512
