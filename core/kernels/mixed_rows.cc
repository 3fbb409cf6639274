#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

#define CTX_MIXED_ISA avx512
#include "core/kernels/norm_rows_inl.h"

namespace contexture::kernels::mixed {
namespace {

using avx512::NormRow;

inline Vector LoadMasked(const float* p, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, p); }
inline __mmask16 Mask(int lanes) {
  return lanes >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << lanes) - 1);
}

// One row of any size, through memory: that of the sum or the output.
template <Format kFormat>
inline void NormMemory(const NormArgs& args, const NormRow& row) {
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
  const Vector mean = avx512::MeanOf(n, _mm512_reduce_add_ps(sum));
  Vector squares = _mm512_setzero_ps();
  for (int c = 0; c < n.size; c += 16) {
    const __mmask16 mask = Mask(n.size - c);
    const Vector d = _mm512_maskz_sub_ps(mask, LoadMasked(sums + c, mask), mean);
    squares = _mm512_fmadd_ps(d, d, squares);
  }
  const Vector scale = _mm512_set1_ps(avx512::InverseDeviation(n, _mm512_reduce_add_ps(squares)));
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
  const bool registers = avx512::FitsRegisters(args);
  for (int r = 0; r < args.norm.rows; ++r) {
    const NormRow row = avx512::NormRowOf(args, r);
    if (!registers) {
      NormMemory<kFormat>(args, row);
      continue;
    }
    Vector v[avx512::kRegisterVectors];
    avx512::NormRegisters(args.norm, row, v);
#pragma GCC unroll 12
    for (int i = 0; i < avx512::kRegisterVectors; i += 2) {
      StoreActivations<kFormat>(v[i], v[i + 1], row.activations + i * 16, args.low_offset);
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
