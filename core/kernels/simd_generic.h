#pragma once

// Four float lanes in the compiler's portable vectors: the baseline of every CPU. One of three
// files with the same interface (simd_avx2.h, simd_avx512.h); each is included by one translation
// unit only, so that no code of a higher instruction set leaks into another.

#include <cstdint>

#include "core/kernels/transpose_args.h"

namespace contexture::simd_generic {

struct F32 {
  static constexpr int kLanes = 4;
  // Rows and vectors of the register tile in products: kTileRows * kTileVectors accumulators.
  static constexpr int kTileRows = 4;
  static constexpr int kTileVectors = 2;
  using Lanes = float __attribute__((vector_size(16)));
  using IntLanes = int32_t __attribute__((vector_size(16)));
  Lanes v;

  static F32 Zero() { return {Lanes{0, 0, 0, 0}}; }
  static F32 Set(float x) { return {Lanes{x, x, x, x}}; }
  static F32 Load(const float* p) {
    F32 r;
    __builtin_memcpy(&r.v, p, sizeof(r.v));
    return r;
  }
  static F32 LoadPartial(const float* p, int n) {
    F32 r = Zero();
    for (int i = 0; i < n; ++i) r.v[i] = p[i];
    return r;
  }
  // base[offsets[lane]]
  static F32 Gather(const float* base, const int32_t* offsets) {
    F32 r;
    for (int i = 0; i < kLanes; ++i) r.v[i] = base[offsets[i]];
    return r;
  }
  void Store(float* p) const { __builtin_memcpy(p, &v, sizeof(v)); }
  void StorePartial(float* p, int n) const {
    for (int i = 0; i < n; ++i) p[i] = v[i];
  }
  // This where lane < n, else other.
  F32 KeepFirst(int n, F32 other) const {
    F32 r = other;
    for (int i = 0; i < n; ++i) r.v[i] = v[i];
    return r;
  }
  float ReduceAdd() const { return (v[0] + v[2]) + (v[1] + v[3]); }
  float ReduceMax() const {
    float m = v[0];
    for (int i = 1; i < kLanes; ++i) m = v[i] > m ? v[i] : m;
    return m;
  }
};

inline F32 operator+(F32 a, F32 b) { return {a.v + b.v}; }
inline F32 operator-(F32 a, F32 b) { return {a.v - b.v}; }
inline F32 operator*(F32 a, F32 b) { return {a.v * b.v}; }
inline F32 operator/(F32 a, F32 b) { return {a.v / b.v}; }
inline F32 MulAdd(F32 a, F32 b, F32 c) { return {a.v * b.v + c.v}; }
inline F32 Max(F32 a, F32 b) { return {a.v > b.v ? a.v : b.v}; }
inline F32 Min(F32 a, F32 b) { return {a.v < b.v ? a.v : b.v}; }
// The magnitude of a; a with the sign bit of b flipped in.
inline F32 Abs(F32 a) { return {(F32::Lanes)((F32::IntLanes)a.v & 0x7fffffff)}; }
inline F32 FlipSign(F32 a, F32 b) {
  const F32::IntLanes sign = (F32::IntLanes)b.v & static_cast<int32_t>(0x80000000);
  return {(F32::Lanes)((F32::IntLanes)a.v ^ sign)};
}
// Rounded to the nearest integer; |a| < 2^22.
inline F32 Round(F32 a) {
  const F32 magic = F32::Set(12582912.0f);  // 1.5 * 2^23: the sum has no fraction bits left
  return (a + magic) - magic;
}
// a * 2^n for integral n in [-126, 127].
inline F32 ScaleByPowerOfTwo(F32 a, F32 n) {
  const F32::IntLanes exponent = (__builtin_convertvector(n.v, F32::IntLanes) + 127) << 23;
  return {a.v * (F32::Lanes)exponent};
}

// See transpose_args.h.
inline void Transpose(const kernels::TransposeArgs& args) {
  for (int d = 0; d < args.num_columns; ++d) {
    for (int i = 0; i < F32::kLanes; ++i) {
      args.out[d * args.out_stride + i] = i < args.num_rows ? args.rows[i * args.stride + d] : 0.0f;
    }
  }
}

}  // namespace contexture::simd_generic
