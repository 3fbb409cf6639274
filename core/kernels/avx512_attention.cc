#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "core/kernels/avx512_softmax.h"
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

// [rows, 2 units] x [2 units, 32 columns] of each panel. Panels are [unit][column][2]: a unit is a
// pair of the depth.
struct PanelProduct {
  const uint16_t* rows;
  long stride;  // elements
  const uint16_t* panel;
  long panel_stride;  // elements
  int panels;
  int units;
  float* output;  // [rows, 32 panels]
  long output_stride;
};
constexpr int kUnit = 2 * kPanel;  // elements
constexpr int kUnitStep = 4;       // units that are multiplied together; fewer are rounded up

template <int kRows>
[[gnu::noinline]] void MultiplyPanels(const PanelProduct& product) {
  constexpr int kGroup = 3;  // rows that one pointer addresses with the stride
  constexpr int kGroups = (kRows + kGroup - 1) / kGroup;
  const long stride = product.stride * 2, output_stride = product.output_stride;
  const uint16_t* panel = product.panel;
  float* output = product.output;
  for (int n = 0; n < product.panels; ++n, panel += product.panel_stride, output += kPanel) {
    const char* rows[kGroups];
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      rows[g] = reinterpret_cast<const char*>(product.rows) + g * kGroup * stride;
      asm("" : "+r"(rows[g]));  // else GCC 12 computes all from one and keeps them in memory
    }
    __m512 sums[kRows][2];
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
    const uint16_t* const end = panel + static_cast<long>(kUnit) * product.units;
    for (const uint16_t* at = panel; at < end; at += kUnitStep * kUnit) {
#pragma GCC unroll 4
      for (int unit = 0; unit < kUnitStep; ++unit) {
        const __m512i left = _mm512_load_si512(at + unit * kUnit);
        const __m512i right = _mm512_load_si512(at + unit * kUnit + kUnit / 2);
#pragma GCC unroll 12
        for (int r = 0; r < kRows; ++r) {
          int32_t x;
          __builtin_memcpy(&x, rows[r / kGroup] + r % kGroup * stride + unit * 4, sizeof(x));
          const __m512i factor = _mm512_set1_epi32(x);
          sums[r][0] = Bf16Product::Add(sums[r][0], factor, left);
          sums[r][1] = Bf16Product::Add(sums[r][1], factor, right);
        }
      }
#pragma GCC unroll 4
      for (int g = 0; g < kGroups; ++g) rows[g] += kUnitStep * sizeof(int32_t);
    }
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      _mm512_store_ps(output + r * output_stride, sums[r][0]);
      _mm512_store_ps(output + r * output_stride + 16, sums[r][1]);
    }
  }
}

inline void MultiplyPanelRows(int rows, const PanelProduct& product) {
  WithConstantRows(rows, [&](auto height) { MultiplyPanels<decltype(height)::value>(product); });
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
    const size_t packed = sizeof(uint16_t) * padded_keys() * args.head_size;
    keys_ = reinterpret_cast<uint16_t*>(take(packed));
    values_ = reinterpret_cast<uint16_t*>(take(packed));
    scores_ = reinterpret_cast<float*>(take(sizeof(float) * kMaxRows * padded_keys()));
    weights_ = reinterpret_cast<uint16_t*>(take(sizeof(uint16_t) * kMaxRows * padded_keys()));
    contexts_ = reinterpret_cast<float*>(take(sizeof(float) * kMaxRows * args.head_size));
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

  // Elements between panels of the packed keys and of the packed values.
  long key_stride() const { return static_cast<long>(args_.head_size) * kPanel; }
  long value_stride() const { return static_cast<long>(padded_keys()) * kPanel; }

  void PackKeys(int head) {  // [panel of 32 keys][pair of dimensions][key][2]
    const uint16_t* first = args_.key + static_cast<size_t>(head) * args_.head_size;
    for (int half = 0; half < 2 * key_panels_; ++half) {
      const int valid = std::clamp(keys_seen_ - half * 16, 0, 16);
      uint16_t* to = keys_ + half / 2 * key_stride() + half % 2 * (kUnit / 2);
      for (int step = 0; step < steps_; ++step, to += kUnits * kUnit) {
        const uint16_t* rows = first + static_cast<size_t>(half) * 16 * args_.stride + step * 32;
        Transpose16<2>(rows, args_.stride, valid, reinterpret_cast<__m512i*>(to));
      }
    }
  }

  void PackValues(int head) {  // [panel of 32 dimensions][pair of keys][dimension][2]
    const uint16_t* first = args_.value + static_cast<size_t>(head) * args_.head_size;
    for (int pair = 0; pair < padded_keys() / 2; ++pair) {
      for (int panel = 0; panel < steps_; ++panel) {
        const uint16_t* row = first + static_cast<size_t>(2 * pair) * args_.stride + panel * 32;
        const __m512i zero = _mm512_setzero_si512();
        const __m512i even = 2 * pair < keys_seen_ ? _mm512_loadu_si512(row) : zero;
        const __m512i odd =
            2 * pair + 1 < keys_seen_ ? _mm512_loadu_si512(row + args_.stride) : zero;
        uint16_t* to = values_ + panel * value_stride() + static_cast<long>(pair) * kUnit;
        InterleaveRows(even, odd, to, to + kUnit / 2);
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
    const int begin = SeenKeys(first).begin / kPanel * kPanel;
    const int end = SeenKeys(first + rows - 1).end;
    const int panels = (end - begin + kPanel - 1) / kPanel;
    MultiplyPanelRows(rows,
                      {.rows = args_.query + first * static_cast<size_t>(args_.stride) + column,
                       .stride = args_.stride,
                       .panel = keys_ + begin / kPanel * key_stride(),
                       .panel_stride = key_stride(),
                       .panels = panels,
                       .units = args_.head_size / 2,
                       .output = scores_ + begin,
                       .output_stride = padded_keys()});
    alignas(64) float inverse[16];
    WeighRows(first, rows, {begin, begin + panels * kPanel}, inverse);
    MultiplyPanelRows(rows, {.rows = weights_ + begin,
                             .stride = padded_keys(),
                             .panel = values_ + static_cast<long>(begin / 2) * kUnit,
                             .panel_stride = value_stride(),
                             .panels = steps_,
                             .units = (end - begin + 1) / 2,
                             .output = contexts_,
                             .output_stride = args_.head_size});
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < args_.head_size; c += kPanel) {
        StoreContext(contexts_ + r * args_.head_size + c, inverse[r], first + r, column + c);
      }
    }
  }

  // The scores of queries [first, first + rows) become weights for the keys of `block`, not yet
  // divided by their sums; `inverse` gets 1 / sum of each row.
  void WeighRows(int first, int rows, KeyRange block, float* inverse) {
    constexpr float kLog2e = 1.44269504f;
    const bool biased = args_.alibi_slopes != nullptr || args_.distance_bias != nullptr;
    const Vector scale = _mm512_set1_ps(biased ? kLog2e : args_.scale * kLog2e);
    const bool same = !args_.causal && args_.window == 0;  // keys for all queries
    const SeenPanels all(SeenKeys(first), block);
    const auto with_row = [&](int r, const auto& body) {
      const size_t at = static_cast<size_t>(r) * padded_keys();
      if (same) return body(SoftmaxRow{all, scores_ + at, weights_ + at});
      const SeenPanels own(SeenKeys(first + r), block);
      return body(SoftmaxRow{own, scores_ + at, weights_ + at});
    };
    Vector lanes[16];
    for (int r = 0; r < rows; ++r) {
      if (biased) BiasRow(first + r, block, scores_ + static_cast<size_t>(r) * padded_keys());
      lanes[r] = with_row(r, [](const SoftmaxRow& row) { return row.Largest(); });
    }
    for (int r = rows; r < 16; ++r) lanes[r] = lanes[0];
    alignas(64) float shift[16];
    _mm512_store_ps(shift, _mm512_fnmadd_ps(LargestLanes(lanes), scale, _mm512_setzero_ps()));
    for (int r = 0; r < rows; ++r) {
      const Vector own = _mm512_set1_ps(shift[r]);
      lanes[r] = with_row(r, [&](const SoftmaxRow& row) { return row.Weigh(scale, own); });
    }
    _mm512_store_ps(inverse, _mm512_div_ps(_mm512_set1_ps(1.0f), SumLanes(lanes)));
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
            bias, _mm512_maskz_loadu_ps(static_cast<__mmask16>(SeenMask({0, keys_seen_}, j)),
                                        biases + (j - query)));
      }
      _mm512_store_ps(scores + j, _mm512_fmadd_ps(_mm512_load_ps(scores + j), scale, bias));
    }
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
  float* contexts_;    // [kMaxRows, head_size]
};

}  // namespace

void AttendHeads(const AttentionArgs& args) {
  HeadAttention attention(args);
  for (int head = 0; head < args.heads; ++head) attention.Run(head);
}

}  // namespace contexture::kernels::mixed::avx512
