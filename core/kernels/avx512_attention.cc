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

// One head of a sequence: scores are the product of the queries with the packed keys, 32 keys a
// panel; contexts are the product of the softmax's weights with the packed values.
template <int kSteps>  // head_size / 32
class HeadAttention {
 public:
  explicit HeadAttention(const AttentionArgs& args)
      : args_(args), key_panels_((args.length + kPanel - 1) / kPanel) {
    auto take = [scratch = args.scratch](size_t bytes) mutable {
      char* at = scratch;
      scratch += bytes;
      return at;
    };
    const size_t packed = sizeof(uint16_t) * key_panels_ * kSteps * kStep;
    keys_ = reinterpret_cast<uint16_t*>(take(packed));
    values_ = reinterpret_cast<uint16_t*>(take(packed));
    scores_ = reinterpret_cast<float*>(take(sizeof(float) * kMaxRows * padded_keys()));
    weights_ = reinterpret_cast<uint16_t*>(take(sizeof(uint16_t) * kMaxRows * padded_keys()));
  }

  void Run(int head) {
    PackKeys(head);
    PackValues(head);
    ForEachBlock(args_.length, [&](int first, int rows) { AttendRows(head, first, rows); });
  }

 private:
  static constexpr int kHead = 32 * kSteps;
  int padded_keys() const { return key_panels_ * kPanel; }

  void PackKeys(int head) {  // [panel][step][left, right 16 keys][unit][key]
    for (int half = 0; half < 2 * key_panels_; ++half) {
      const int valid = std::clamp(args_.length - half * 16, 0, 16);
      for (int step = 0; step < kSteps; ++step) {
        const uint16_t* rows =
            args_.key + static_cast<size_t>(half) * 16 * args_.stride + head * kHead + step * 32;
        uint16_t* tile = keys_ + static_cast<size_t>(half / 2 * kSteps + step) * kStep +
                         half % 2 * static_cast<size_t>(kTile);
        Transpose16(rows, args_.stride, valid, reinterpret_cast<__m512i*>(tile));
      }
    }
  }

  void PackValues(int head) {  // [panel of 32 dimensions][step of 32 keys][left, right][pair][dim]
    for (int pair = 0; pair < padded_keys() / 2; ++pair) {
      for (int panel = 0; panel < kSteps; ++panel) {
        const uint16_t* row =
            args_.value + static_cast<size_t>(2 * pair) * args_.stride + head * kHead + panel * 32;
        const __m512i zero = _mm512_setzero_si512();
        const __m512i even = 2 * pair < args_.length ? _mm512_loadu_si512(row) : zero;
        const __m512i odd =
            2 * pair + 1 < args_.length ? _mm512_loadu_si512(row + args_.stride) : zero;
        uint16_t* tile = values_ + static_cast<size_t>(panel * key_panels_ + pair / 16) * kStep +
                         pair % 16 * static_cast<size_t>(32);
        InterleaveRows(even, odd, tile, tile + kTile);
      }
    }
  }

  void AttendRows(int head, int first, int rows) {
    const uint16_t* query = args_.query + static_cast<size_t>(first) * args_.stride + head * kHead;
    for (int panel = 0; panel < key_panels_; ++panel) {
      MultiplyBf16Rows(rows, {query, args_.stride, kSteps},
                       keys_ + static_cast<size_t>(panel) * kSteps * kStep,
                       {scores_ + panel * kPanel, padded_keys(), false});
    }
    float inverse[kMaxRows];
    for (int r = 0; r < rows; ++r) {
      inverse[r] = SoftmaxRow(scores_ + static_cast<size_t>(r) * padded_keys(),
                              weights_ + static_cast<size_t>(r) * padded_keys());
    }
    alignas(64) float context[kMaxRows * kPanel];
    for (int panel = 0; panel < kSteps; ++panel) {
      MultiplyBf16Rows(rows, {weights_, padded_keys(), key_panels_},
                       values_ + static_cast<size_t>(panel) * key_panels_ * kStep,
                       {context, kPanel, false});
      for (int r = 0; r < rows; ++r) {
        StoreContext(context + r * kPanel, inverse[r], first + r, head * kHead + panel * kPanel);
      }
    }
  }

  // Weights e^(scale (s - max)), not yet divided by their sum; zero past the length. Returns 1 /
  // sum.
  float SoftmaxRow(const float* scores, uint16_t* weights) const {
    const Vector lowest = _mm512_set1_ps(-3.0e38f);
    const int length = args_.length;
    Vector max = lowest;
    for (int j = 0; j < length; j += 16) {
      max = _mm512_max_ps(
          max, _mm512_mask_blend_ps(FirstLanes(length - j), lowest, _mm512_load_ps(scores + j)));
    }
    const float factor = args_.scale * 1.44269504f;
    const Vector scale = _mm512_set1_ps(factor);
    const Vector shift = _mm512_set1_ps(-factor * _mm512_reduce_max_ps(max));
    Vector sum = _mm512_setzero_ps();
    for (int j = 0; j < padded_keys(); j += 32) {
      Vector e[2];
      for (int half = 0; half < 2; ++half) {
        e[half] = _mm512_maskz_mov_ps(
            FirstLanes(length - j - half * 16),
            Exp2<false>(_mm512_fmadd_ps(_mm512_load_ps(scores + j + half * 16), scale, shift)));
        sum = _mm512_add_ps(sum, e[half]);
      }
      _mm512_store_si512(weights + j, Narrow(e[0], e[1]));
    }
    return 1.0f / _mm512_reduce_add_ps(sum);
  }

  void StoreContext(const float* context, float inverse, int row, int column) const {
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
  const int key_panels_;  // of 32 keys
  uint16_t *keys_, *values_;
  float* scores_;      // [kMaxRows, padded_keys]
  uint16_t* weights_;  // [kMaxRows, padded_keys]
};

template <int kSteps>
void AttendAllHeads(const AttentionArgs& args) {
  HeadAttention<kSteps> attention(args);
  for (int head = 0; head < args.heads; ++head) attention.Run(head);
}

}  // namespace

void AttendHeads(const AttentionArgs& args) {
  args.head_size == 32 ? AttendAllHeads<1>(args) : AttendAllHeads<2>(args);
}

}  // namespace contexture::kernels::mixed::avx512
