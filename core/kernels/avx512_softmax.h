#pragma once

// Softmax over rows of scores in AVX-512, with masks only where keys are not seen (compiled with
// AVX-512 BF16; never included elsewhere).

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "core/kernels/mixed_simd.h"

namespace contexture::kernels::mixed {

// Keys [begin, end).
struct KeyRange {
  int begin, end;
};

// Bit n: whether key + n is seen.
inline uint32_t SeenMask(KeyRange seen, int key) {
  const auto below = [key](int end) {
    return static_cast<uint32_t>((uint64_t{1} << std::clamp(end - key, 0, kPanel)) - 1);
  };
  return below(seen.end) & ~below(seen.begin);
}

// The panels of keys [block], of which a query sees some.
struct SeenPanels {
  KeyRange seen;
  int begin, whole, whole_end, end;  // those between `whole` and `whole_end` are seen whole
  uint32_t last_mask;                // of the panel at whole_end

  SeenPanels(KeyRange keys, KeyRange block)
      : seen(keys),
        begin(block.begin),
        whole(std::min((seen.begin + kPanel - 1) / kPanel * kPanel, block.end)),
        whole_end(std::max(seen.end / kPanel * kPanel, whole)),
        end(block.end),
        last_mask(SeenMask(seen, whole_end)) {}

  uint32_t Mask(int key) const { return key == whole_end ? last_mask : SeenMask(seen, key); }

  // Calls body(key, masked) for each panel; the constant says whether some keys of it are not seen.
  template <typename Body>
  void ForEach(const Body& body) const {
    int key = begin;
    for (; key < whole; key += kPanel) body(key, std::true_type());
    for (; key < whole_end; key += kPanel) body(key, std::false_type());
    for (; key < end; key += kPanel) body(key, std::true_type());
  }
};

// A query's scores and what becomes of them.
struct SoftmaxRow {
  const SeenPanels& panels;
  const float* scores;
  uint16_t* weights;

  // The largest of every sixteenth score that is seen.
  Vector Largest() const {
    Vector max[2] = {_mm512_set1_ps(-3.0e38f), _mm512_set1_ps(-3.0e38f)};
    panels.ForEach([&](int key, auto masked) {
      const Vector left = _mm512_load_ps(scores + key), right = _mm512_load_ps(scores + key + 16);
      if constexpr (masked) {
        const uint32_t mask = panels.Mask(key);
        max[0] = _mm512_mask_max_ps(max[0], static_cast<__mmask16>(mask), max[0], left);
        max[1] = _mm512_mask_max_ps(max[1], static_cast<__mmask16>(mask >> 16), max[1], right);
      } else {
        max[0] = _mm512_max_ps(max[0], left);
        max[1] = _mm512_max_ps(max[1], right);
      }
    });
    return _mm512_max_ps(max[0], max[1]);
  }

  // Stores the weights 2^(scale score + shift) of the keys seen and zero for the rest of the block.
  // Returns sums of every sixteenth.
  Vector Weigh(Vector scale, Vector shift) const {
    Vector sum = _mm512_setzero_ps();
    panels.ForEach([&](int key, auto masked) {
      Vector left = Exp2<false>(_mm512_fmadd_ps(_mm512_load_ps(scores + key), scale, shift));
      Vector right = Exp2<false>(_mm512_fmadd_ps(_mm512_load_ps(scores + key + 16), scale, shift));
      if constexpr (masked) {
        const uint32_t mask = panels.Mask(key);
        left = _mm512_maskz_mov_ps(static_cast<__mmask16>(mask), left);
        right = _mm512_maskz_mov_ps(static_cast<__mmask16>(mask >> 16), right);
      }
      sum = _mm512_add_ps(sum, _mm512_add_ps(left, right));
      _mm512_store_si512(weights + key, Narrow(left, right));
    });
    return sum;
  }
};

// Lane r of the result combines the 16 lanes of rows[r], in the same order for all rows.
template <typename Combine>
inline Vector CombineLanes(const Vector (&rows)[16], const Combine& combine) {
  Vector eights[8], fours[4], twos[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    eights[i] = combine(_mm512_shuffle_f32x4(rows[i], rows[i + 8], 0x44),
                        _mm512_shuffle_f32x4(rows[i], rows[i + 8], 0xee));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    fours[i] = combine(_mm512_shuffle_f32x4(eights[i], eights[i + 4], 0x88),
                       _mm512_shuffle_f32x4(eights[i], eights[i + 4], 0xdd));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512d a = _mm512_castps_pd(fours[i]), b = _mm512_castps_pd(fours[i + 2]);
    twos[i] = combine(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                      _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  const Vector ones =
      combine(_mm512_shuffle_ps(twos[0], twos[1], 0x88), _mm512_shuffle_ps(twos[0], twos[1], 0xdd));
  // Quarter q has the rows from {0, 8, 4, 12}[q] on, in the order 0, 2, 1, 3.
  const __m512i places = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
  return _mm512_permutexvar_ps(places, ones);
}

inline Vector LargestLanes(const Vector (&rows)[16]) {
  return CombineLanes(rows, [](Vector a, Vector b) { return _mm512_max_ps(a, b); });
}
inline Vector SumLanes(const Vector (&rows)[16]) {
  return CombineLanes(rows, [](Vector a, Vector b) { return _mm512_add_ps(a, b); });
}

}  // namespace contexture::kernels::mixed
