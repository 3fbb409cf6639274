#pragma once

// Data layout helpers of the attention kernels (compiled with AVX-512 BF16; never included
// elsewhere).

#include <immintrin.h>

#include <cstdint>

namespace contexture::kernels::mixed {

// Transposes 16 rows of 16 double words: out[d] holds double word d of every row. Rows from `valid`
// on are zero. `stride` in elements of 2 bytes. The results lie kStep vectors apart.
template <int kStep = 1>
inline void Transpose16(const uint16_t* rows, long stride, int valid, __m512i* out) {
  __m512i r[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    r[i] = i < valid ? _mm512_loadu_si512(rows + i * stride) : _mm512_setzero_si512();
  }
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    out[i * kStep] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    out[(i + 8) * kStep] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    out[(i + 4) * kStep] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    out[(i + 12) * kStep] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

// Element pairs of two rows side by side: the tile layout of a product's right operand.
alignas(64) constexpr uint16_t kInterleave[32] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                  37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                  11, 43, 12, 44, 13, 45, 14, 46, 15, 47};

// Rows 2 j and 2 j + 1 of 32 elements as the pair j of two tiles (the right operand of a product
// whose depth runs over the rows).
inline void InterleaveRows(__m512i even, __m512i odd, uint16_t* left, uint16_t* right) {
  const __m512i low = _mm512_load_si512(kInterleave);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  _mm512_store_si512(left, _mm512_permutex2var_epi16(even, low, odd));
  _mm512_store_si512(right, _mm512_permutex2var_epi16(even, high, odd));
}

}  // namespace contexture::kernels::mixed
