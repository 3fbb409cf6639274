#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

namespace contexture::kernels::mixed {
namespace {

inline Vector LoadMasked(const float* p, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, p); }
inline __mmask16 Mask(int lanes) {
  return lanes >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << lanes) - 1);
}

// A row of NormArgs; the pointers that may be null there may be null here.
struct Row {
  const float* input;
  const float* residual;
  float* sum;
  float* output;
  uint16_t* activations;
};

inline Row RowOf(const NormArgs& args, size_t r) {
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

// One row of kVectors vectors with bias and residual, held in registers from the sum to the stores.
template <Format kFormat, int kVectors>
inline void NormRegisters(const NormArgs& args, const Row& row) {
  const kernels::NormArgs& n = args.norm;
  Vector v[kVectors];
  Vector sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                    _mm512_setzero_ps()};
#pragma GCC unroll 24
  for (int i = 0; i < kVectors; ++i) {
    v[i] = _mm512_add_ps(
        _mm512_add_ps(_mm512_loadu_ps(row.input + i * 16), _mm512_loadu_ps(n.bias + i * 16)),
        _mm512_loadu_ps(row.residual + i * 16));
    sums[i & 3] = _mm512_add_ps(sums[i & 3], v[i]);
  }
  if (row.sum != nullptr) {
#pragma GCC unroll 24
    for (int i = 0; i < kVectors; ++i) _mm512_storeu_ps(row.sum + i * 16, v[i]);
  }
  const Vector mean =
      MeanOf(n, _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]),
                                                   _mm512_add_ps(sums[2], sums[3]))));
  for (int i = 0; i < 4; ++i) sums[i] = _mm512_setzero_ps();
#pragma GCC unroll 24
  for (int i = 0; i < kVectors; ++i) {
    v[i] = _mm512_sub_ps(v[i], mean);
    sums[i & 3] = _mm512_fmadd_ps(v[i], v[i], sums[i & 3]);
  }
  const float squares = _mm512_reduce_add_ps(
      _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
  const Vector scale = _mm512_set1_ps(InverseDeviation(n, squares));
#pragma GCC unroll 24
  for (int i = 0; i < kVectors; ++i) {
    v[i] = _mm512_fmadd_ps(_mm512_mul_ps(v[i], scale), _mm512_loadu_ps(n.gamma + i * 16),
                           _mm512_loadu_ps(n.beta + i * 16));
    _mm512_storeu_ps(row.output + i * 16, v[i]);
    if (i & 1) {
      StoreActivations<kFormat>(v[i - 1], v[i], row.activations + (i - 1) * 16, args.low_offset);
    }
  }
}

// One row of any size, through memory: that of the sum or the output.
template <Format kFormat>
inline void NormMemory(const NormArgs& args, const Row& row) {
  const kernels::NormArgs& n = args.norm;
  float* sums = row.sum != nullptr ? row.sum : row.output;
  Vector sum = _mm512_setzero_ps();
  for (int c = 0; c < n.size; c += 16) {
    const __mmask16 mask = Mask(n.size - c);
    Vector x = LoadMasked(row.input + c, mask);
    if (n.bias != nullptr) x = _mm512_add_ps(x, LoadMasked(n.bias + c, mask));
    if (row.residual != nullptr) x = _mm512_add_ps(x, LoadMasked(row.residual + c, mask));
    _mm512_mask_storeu_ps(sums + c, mask, x);
    sum = _mm512_add_ps(sum, x);
  }
  const Vector mean = MeanOf(n, _mm512_reduce_add_ps(sum));
  Vector squares = _mm512_setzero_ps();
  for (int c = 0; c < n.size; c += 16) {
    const __mmask16 mask = Mask(n.size - c);
    const Vector d = _mm512_maskz_sub_ps(mask, LoadMasked(sums + c, mask), mean);
    squares = _mm512_fmadd_ps(d, d, squares);
  }
  const Vector scale = _mm512_set1_ps(InverseDeviation(n, _mm512_reduce_add_ps(squares)));
  for (int c = 0; c < n.size; c += 32) {
    Vector v[2];
    for (int i = 0; i < 2; ++i) {
      const int at = c + i * 16;
      const __mmask16 mask = at < n.size ? Mask(n.size - at) : static_cast<__mmask16>(0);
      const Vector x = _mm512_mul_ps(_mm512_sub_ps(LoadMasked(sums + at, mask), mean), scale);
      v[i] = _mm512_maskz_mov_ps(
          mask, _mm512_fmadd_ps(x, LoadMasked(n.gamma + at, mask), LoadMasked(n.beta + at, mask)));
      _mm512_mask_storeu_ps(row.output + at, mask, v[i]);
    }
    if (row.activations != nullptr) {
      StoreActivations<kFormat>(v[0], v[1], row.activations + c, args.low_offset);
    }
  }
}

template <Format kFormat>
void NormRowsOf(const NormArgs& args) {
  // 384 values are the largest common hidden size whose row fits the 32 vector registers.
  const bool registers = args.norm.size == 384 && args.norm.bias != nullptr &&
                         args.norm.residual != nullptr && args.activations != nullptr;
  for (int r = 0; r < args.norm.rows; ++r) {
    if (registers) {
      NormRegisters<kFormat, 24>(args, RowOf(args, r));
    } else {
      NormMemory<kFormat>(args, RowOf(args, r));
    }
  }
}

template <Format kFormat>
void ConvertRow(const float* input, int columns, uint16_t* output, int low_offset) {
  for (int c = 0; c < columns; c += 32) {
    const int second = columns - c - 16;
    StoreActivations<kFormat>(
        LoadMasked(input + c, Mask(columns - c)),
        second > 0 ? LoadMasked(input + c + 16, Mask(second)) : _mm512_setzero_ps(), output + c,
        low_offset);
  }
}

}  // namespace

void NormRows(Format format, const NormArgs& args) {
  format == Format::kBf16 ? NormRowsOf<Format::kBf16>(args) : NormRowsOf<Format::kSplit>(args);
}

void ConvertRows(Format format, const ConvertArgs& args) {
  for (int r = 0; r < args.rows; ++r) {
    const float* from = args.input + static_cast<size_t>(r) * args.input_stride;
    uint16_t* to = args.output + static_cast<size_t>(r) * args.stride;
    format == Format::kBf16 ? ConvertRow<Format::kBf16>(from, args.columns, to, args.low_offset)
                            : ConvertRow<Format::kSplit>(from, args.columns, to, args.low_offset);
  }
}

}  // namespace contexture::kernels::mixed
