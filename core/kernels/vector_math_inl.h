// Elementary functions over F32 vectors. Included once per instruction set; no include guard on
// purpose.

namespace contexture::CTX_SIMD {

// e^x by x = n ln 2 + r, |r| <= ln 2 / 2, and a degree-7 Taylor polynomial of e^r: within 2 ulp.
// Below -87 the result is 0 (flushed), above 88 it saturates near the largest float; NaN stays NaN.
inline F32 Exp(F32 x) {
  // The bound stands first: the hardware's Max and Min return the second operand when one is NaN.
  x = Min(F32::Set(88.0f), Max(F32::Set(-87.0f), x));
  const F32 n = Round(x * F32::Set(1.44269504089f));
  // ln 2 in two parts, so that r keeps all its bits.
  F32 r = MulAdd(n, F32::Set(-0.693359375f), x);
  r = MulAdd(n, F32::Set(2.12194440e-4f), r);
  F32 p = F32::Set(1.0f / 5040);
  p = MulAdd(p, r, F32::Set(1.0f / 720));
  p = MulAdd(p, r, F32::Set(1.0f / 120));
  p = MulAdd(p, r, F32::Set(1.0f / 24));
  p = MulAdd(p, r, F32::Set(1.0f / 6));
  p = MulAdd(p, r, F32::Set(0.5f));
  p = MulAdd(p, r, F32::Set(1.0f));
  p = MulAdd(p, r, F32::Set(1.0f));
  return ScaleByPowerOfTwo(p, n);
}

// erf by Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: within 1.5e-7 absolute.
inline F32 Erf(F32 x) {
  const F32 one = F32::Set(1.0f);
  const F32 a = Abs(x);
  const F32 t = one / MulAdd(a, F32::Set(0.3275911f), one);
  F32 p = F32::Set(1.061405429f);
  p = MulAdd(p, t, F32::Set(-1.453152027f));
  p = MulAdd(p, t, F32::Set(1.421413741f));
  p = MulAdd(p, t, F32::Set(-0.284496736f));
  p = MulAdd(p, t, F32::Set(0.254829592f));
  return FlipSign(one - p * t * Exp(F32::Zero() - a * a), x);
}

inline F32 Sigmoid(F32 x) {
  const F32 one = F32::Set(1.0f);
  return one / (one + Exp(F32::Zero() - x));
}

struct Identity {
  static F32 Apply(F32 x) { return x; }
};
// x * Phi(x), the exact form (Hendrycks and Gimpel 2016).
struct GeluErf {
  static F32 Apply(F32 x) {
    const F32 half = x * F32::Set(0.5f);
    return MulAdd(half, Erf(x * F32::Set(0.70710678118f)), half);
  }
};
// The tanh form: 0.5 (1 + tanh(u)) = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh {
  static F32 Apply(F32 x) {
    const F32 cubic = MulAdd(x * x * x, F32::Set(0.044715f), x);
    return x * Sigmoid(cubic * F32::Set(1.59576912161f));
  }
};
struct Relu {
  static F32 Apply(F32 x) { return Max(F32::Zero(), x); }
};
struct Silu {
  static F32 Apply(F32 x) { return x * Sigmoid(x); }
};

}  // namespace contexture::CTX_SIMD
