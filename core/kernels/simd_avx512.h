#pragma once

// Sixteen float lanes of AVX-512 (F, BW, DQ, VL). See simd_generic.h.

#include <immintrin.h>

#include <cstdint>

#include "core/kernels/transpose_args.h"

namespace contexture::simd_avx512 {

inline __mmask16 FirstLanes(int n) {
  return n >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << n) - 1);
}

struct F32 {
  static constexpr int kLanes = 16;
  static constexpr int kTileRows = 8;
  static constexpr int kTileVectors = 3;
  __m512 v;

  static F32 Zero() { return {_mm512_setzero_ps()}; }
  static F32 Set(float x) { return {_mm512_set1_ps(x)}; }
  static F32 Load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static F32 LoadPartial(const float* p, int n) {
    return {_mm512_maskz_loadu_ps(FirstLanes(n), p)};
  }
  static F32 Gather(const float* base, const int32_t* offsets) {
    return {_mm512_i32gather_ps(_mm512_loadu_si512(offsets), base, sizeof(float))};
  }
  void Store(float* p) const { _mm512_storeu_ps(p, v); }
  void StorePartial(float* p, int n) const { _mm512_mask_storeu_ps(p, FirstLanes(n), v); }
  F32 KeepFirst(int n, F32 other) const {
    return {_mm512_mask_blend_ps(FirstLanes(n), other.v, v)};
  }
  float ReduceAdd() const { return _mm512_reduce_add_ps(v); }
  float ReduceMax() const { return _mm512_reduce_max_ps(v); }
};

inline F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F32 operator/(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F32 MulAdd(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F32 Max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F32 Min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F32 Abs(F32 a) { return {_mm512_abs_ps(a.v)}; }
inline F32 FlipSign(F32 a, F32 b) {
  return {_mm512_xor_ps(a.v, _mm512_and_ps(_mm512_set1_ps(-0.0f), b.v))};
}
inline F32 Round(F32 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline F32 ScaleByPowerOfTwo(F32 a, F32 n) { return {_mm512_scalef_ps(a.v, n.v)}; }

// See transpose_args.h.
inline void Transpose(const kernels::TransposeArgs& args) {
  __m512 r[16], t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    r[i] = i < args.num_rows ? F32::LoadPartial(args.rows + i * args.stride, args.num_columns).v
                             : _mm512_setzero_ps();
  }
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  // r[4 g + c]: columns c, 4 + c, 8 + c, 12 + c of the rows 4 g to 4 g + 3.
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    // Columns c and 8 + c, then 4 + c and 12 + c, of the rows 0 to 7 and 8 to 15.
    const __m512 even_low = _mm512_shuffle_f32x4(r[c], r[c + 4], 0x88);
    const __m512 even_high = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0x88);
    const __m512 odd_low = _mm512_shuffle_f32x4(r[c], r[c + 4], 0xdd);
    const __m512 odd_high = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0xdd);
    t[c] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
    t[c + 8] = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
    t[c + 4] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
    t[c + 12] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
  }
#pragma GCC unroll 16
  for (int d = 0; d < 16; ++d) {
    if (d < args.num_columns) _mm512_storeu_ps(args.out + d * args.out_stride, t[d]);
  }
}

}  // namespace contexture::simd_avx512
