#pragma once

// Eight float lanes of AVX2 with FMA. See simd_generic.h.

#include <immintrin.h>

#include <cstdint>

#include "core/kernels/transpose_args.h"

namespace contexture::simd_avx2 {

inline __m256i FirstLanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

struct F32 {
  static constexpr int kLanes = 8;
  static constexpr int kTileRows = 4;
  static constexpr int kTileVectors = 2;
  __m256 v;

  static F32 Zero() { return {_mm256_setzero_ps()}; }
  static F32 Set(float x) { return {_mm256_set1_ps(x)}; }
  static F32 Load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static F32 LoadPartial(const float* p, int n) { return {_mm256_maskload_ps(p, FirstLanes(n))}; }
  static F32 Gather(const float* base, const int32_t* offsets) {
    const __m256i lanes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(offsets));
    return {_mm256_i32gather_ps(base, lanes, sizeof(float))};
  }
  void Store(float* p) const { _mm256_storeu_ps(p, v); }
  void StorePartial(float* p, int n) const { _mm256_maskstore_ps(p, FirstLanes(n), v); }
  F32 KeepFirst(int n, F32 other) const {
    return {_mm256_blendv_ps(other.v, v, _mm256_castsi256_ps(FirstLanes(n)))};
  }
  float ReduceAdd() const {
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
  }
  float ReduceMax() const {
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
  }
};

inline F32 operator+(F32 a, F32 b) { return {_mm256_add_ps(a.v, b.v)}; }
inline F32 operator-(F32 a, F32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline F32 operator*(F32 a, F32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline F32 operator/(F32 a, F32 b) { return {_mm256_div_ps(a.v, b.v)}; }
inline F32 MulAdd(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline F32 Max(F32 a, F32 b) { return {_mm256_max_ps(a.v, b.v)}; }
inline F32 Min(F32 a, F32 b) { return {_mm256_min_ps(a.v, b.v)}; }
inline F32 Abs(F32 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
inline F32 FlipSign(F32 a, F32 b) {
  return {_mm256_xor_ps(a.v, _mm256_and_ps(_mm256_set1_ps(-0.0f), b.v))};
}
inline F32 Round(F32 a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline F32 ScaleByPowerOfTwo(F32 a, F32 n) {
  const __m256i exponent =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23);
  return {_mm256_mul_ps(a.v, _mm256_castsi256_ps(exponent))};
}

// See transpose_args.h.
inline void Transpose(const kernels::TransposeArgs& args) {
  __m256 r[8], t[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    r[i] = i < args.num_rows ? F32::LoadPartial(args.rows + i * args.stride, args.num_columns).v
                             : _mm256_setzero_ps();
  }
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  // r[4 h + c]: column c, and 4 + c in the upper half, of the rows 4 h to 4 h + 3.
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 8
  for (int d = 0; d < 8; ++d) {
    const __m256 column = d < 4 ? _mm256_permute2f128_ps(r[d], r[d + 4], 0x20)
                                : _mm256_permute2f128_ps(r[d - 4], r[d], 0x31);
    if (d < args.num_columns) _mm256_storeu_ps(args.out + d * args.out_stride, column);
  }
}

}  // namespace contexture::simd_avx2
