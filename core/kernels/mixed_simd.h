#pragma once

// Vector helpers of the mixed-precision translation units (compiled with AVX-512; never included
// elsewhere).

#include <immintrin.h>

#include <cstdint>

#include "core/kernels/mixed_kernels.h"

namespace contexture::kernels::mixed {

using Vector = __m512;

inline Vector Widen(__m256i x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
#ifdef __AVX512BF16__
inline __m256i Narrow(Vector x) { return (__m256i)_mm512_cvtneps_pbh(x); }
// 32 values; `low` first in memory.
inline __m512i Narrow(Vector low, Vector high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }

// Stores 32 values as activations.
template <Format kFormat>
inline void StoreActivations(Vector a, Vector b, uint16_t* output, int low_offset) {
  if constexpr (kFormat == Format::kBf16) {
    _mm512_storeu_si512(output, Narrow(a, b));
  } else {
    const __m256i high_a = Narrow(a), high_b = Narrow(b);
    _mm512_storeu_si512(output, _mm512_inserti64x4(_mm512_castsi256_si512(high_a), high_b, 1));
    _mm512_storeu_si512(output + low_offset,
                        Narrow(_mm512_sub_ps(a, Widen(high_a)), _mm512_sub_ps(b, Widen(high_b))));
  }
}

// The same for 16 values.
template <Format kFormat>
inline void StoreActivations(Vector x, uint16_t* output, int low_offset) {
  const __m256i high = Narrow(x);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(output), high);
  if constexpr (kFormat == Format::kSplit) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(output + low_offset),
                        Narrow(_mm512_sub_ps(x, Widen(high))));
  }
}
#endif

// 2^x. kAccurate: within 2e-7 relative; else within 1e-4, below what bfloat16 can show.
template <bool kAccurate>
inline Vector Exp2(Vector x) {
  const Vector n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const Vector f = _mm512_sub_ps(x, n);
  Vector p;
  if constexpr (kAccurate) {
    p = _mm512_set1_ps(1.339993142e-03f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.618488960e-03f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.550328776e-02f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.402264689e-01f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.931472057e-01f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  } else {
    p = _mm512_set1_ps(5.517166681e-02f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.426111351e-01f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.932609870e-01f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.999280728e-01f));
  }
  return _mm512_scalef_ps(p, n);
}

inline Vector Reciprocal(Vector x) {  // one Newton step: within 2^-23
  const Vector r = _mm512_rcp14_ps(x);
  return _mm512_mul_ps(r, _mm512_fnmadd_ps(r, x, _mm512_set1_ps(2.0f)));
}

// x Phi(x). kBf16: Phi as a polynomial of degree 17, odd about 1/2, on [-4.5, 4.5]: within 5e-5
// absolute. kSplit: Abramowitz and Stegun 7.1.26, within 2e-7.
template <Format kFormat>
inline Vector GeluErf(Vector x) {
  if constexpr (kFormat == Format::kBf16) {
    static constexpr float kCoefficients[9] = {
        7.974086201e-01f,  -1.319389712e-01f, 1.915174808e-02f,
        -2.069704440e-03f, 1.619696804e-04f,  -8.821665383e-06f,
        3.138243728e-07f,  -6.504275508e-09f, 5.925008890e-11f};
    const Vector c = _mm512_max_ps(_mm512_set1_ps(-4.5f), _mm512_min_ps(_mm512_set1_ps(4.5f), x));
    const Vector u = _mm512_mul_ps(c, c);
    Vector p = _mm512_set1_ps(kCoefficients[8]);
    for (int i = 7; i >= 0; --i) p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(kCoefficients[i]));
    const Vector half = _mm512_mul_ps(x, _mm512_set1_ps(0.5f));
    return _mm512_fmadd_ps(half, _mm512_mul_ps(p, c), half);
  } else {
    const Vector a = _mm512_abs_ps(x);
    const Vector t = Reciprocal(
        _mm512_fmadd_ps(a, _mm512_set1_ps(0.3275911f * 0.70710678f), _mm512_set1_ps(1.0f)));
    Vector p = _mm512_set1_ps(1.061405429f);
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-1.453152027f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.421413741f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.284496736f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.254829592f));
    p = _mm512_mul_ps(p, t);
    const Vector gauss =
        Exp2<true>(_mm512_mul_ps(_mm512_mul_ps(a, a), _mm512_set1_ps(-0.72134752f)));
    const Vector half = _mm512_mul_ps(a, _mm512_set1_ps(0.5f));
    return _mm512_fnmadd_ps(half, _mm512_mul_ps(p, gauss), _mm512_max_ps(x, _mm512_setzero_ps()));
  }
}

inline Vector Sigmoid(Vector x) {
  const Vector e = Exp2<true>(_mm512_max_ps(
      _mm512_set1_ps(-126.0f),
      _mm512_min_ps(_mm512_set1_ps(126.0f), _mm512_mul_ps(x, _mm512_set1_ps(-1.44269504f)))));
  return Reciprocal(_mm512_add_ps(_mm512_set1_ps(1.0f), e));
}

template <Format kFormat, Epilogue kEpilogue>
inline Vector Activate(Vector x) {
  if constexpr (kEpilogue == Epilogue::kBiasGeluErf) {
    return GeluErf<kFormat>(x);
  } else if constexpr (kEpilogue == Epilogue::kBiasGeluTanh) {
    const Vector cube = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
    const Vector u = _mm512_fmadd_ps(cube, _mm512_set1_ps(0.044715f), x);
    return _mm512_mul_ps(x, Sigmoid(_mm512_mul_ps(u, _mm512_set1_ps(1.59576912f))));
  } else if constexpr (kEpilogue == Epilogue::kBiasSilu) {
    return _mm512_mul_ps(x, Sigmoid(x));
  } else if constexpr (kEpilogue == Epilogue::kBiasRelu) {
    return _mm512_max_ps(_mm512_setzero_ps(), x);
  } else {
    return x;
  }
}

}  // namespace contexture::kernels::mixed
