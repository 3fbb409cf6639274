#pragma once

// Sixteen float lanes of AVX-512 (F, BW, DQ, VL). See simd_generic.h.

#include <immintrin.h>

#include <cstdint>

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

}  // namespace contexture::simd_avx512
