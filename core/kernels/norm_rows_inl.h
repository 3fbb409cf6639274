// Norms of rows that fit the 32 vector registers. Included once per instruction set with
// CTX_MIXED_ISA set to the namespace of its translation unit; no include guard on purpose.

namespace contexture::kernels::mixed::CTX_MIXED_ISA {

// 384 values are the largest common hidden size whose row fits the registers.
constexpr int kRegisterVectors = 24;

// Whether NormRegisters takes these rows.
inline bool FitsRegisters(const NormArgs& args) {
  return args.norm.size == kRegisterVectors * 16 && args.norm.bias != nullptr &&
         args.norm.residual != nullptr && args.activations != nullptr;
}

// A row of NormArgs; the pointers that may be null there may be null here.
struct NormRow {
  const float* input;
  const float* residual;
  float* sum;
  float* output;
  uint16_t* activations;
};

inline NormRow NormRowOf(const NormArgs& args, size_t r) {
  const kernels::NormArgs& n = args.norm;
  return {
      .input = n.input + r * StrideOr(args.input_stride, n.size),
      .residual = n.residual == nullptr ? nullptr : n.residual + r * n.size,
      .sum = args.sum == nullptr ? nullptr : args.sum + r * n.size,
      .output = n.output + r * StrideOr(args.output_stride, n.size),
      .activations = args.activations == nullptr ? nullptr : args.activations + r * args.stride};
}

inline float InverseDeviation(const kernels::NormArgs& n, float squares) {
  return 1.0f / __builtin_sqrtf(squares / static_cast<float>(n.size) + n.epsilon);
}
inline Vector MeanOf(const kernels::NormArgs& n, float sum) {
  return n.subtract_mean ? _mm512_set1_ps(sum / static_cast<float>(n.size)) : _mm512_setzero_ps();
}

// The sum of four vectors, and of all their lanes.
inline float SumOf(const Vector (&sums)[4]) {
  return _mm512_reduce_add_ps(
      _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
}

// One row with bias and residual, held in registers from the sum to the stores; `v` is what was
// stored in row.output.
inline void NormRegisters(const kernels::NormArgs& n, const NormRow& row,
                          Vector (&v)[kRegisterVectors]) {
  Vector sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                    _mm512_setzero_ps()};
#pragma GCC unroll 24
  for (int i = 0; i < kRegisterVectors; ++i) {
    v[i] = _mm512_add_ps(
        _mm512_add_ps(_mm512_loadu_ps(row.input + i * 16), _mm512_loadu_ps(n.bias + i * 16)),
        _mm512_loadu_ps(row.residual + i * 16));
    sums[i & 3] = _mm512_add_ps(sums[i & 3], v[i]);
  }
  if (row.sum != nullptr) {
#pragma GCC unroll 24
    for (int i = 0; i < kRegisterVectors; ++i) _mm512_storeu_ps(row.sum + i * 16, v[i]);
  }
  const Vector mean = MeanOf(n, SumOf(sums));
  for (int i = 0; i < 4; ++i) sums[i] = _mm512_setzero_ps();
#pragma GCC unroll 24
  for (int i = 0; i < kRegisterVectors; ++i) {
    v[i] = _mm512_sub_ps(v[i], mean);
    sums[i & 3] = _mm512_fmadd_ps(v[i], v[i], sums[i & 3]);
  }
  const Vector scale = _mm512_set1_ps(InverseDeviation(n, SumOf(sums)));
#pragma GCC unroll 24
  for (int i = 0; i < kRegisterVectors; ++i) {
    v[i] = _mm512_fmadd_ps(_mm512_mul_ps(v[i], scale), _mm512_loadu_ps(n.gamma + i * 16),
                           _mm512_loadu_ps(n.beta + i * 16));
    _mm512_storeu_ps(row.output + i * 16, v[i]);
  }
}

}  // namespace contexture::kernels::mixed::CTX_MIXED_ISA
