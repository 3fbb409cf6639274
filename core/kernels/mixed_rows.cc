#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

namespace contexture::kernels::mixed {
namespace {

inline Vector LoadMasked(const float* p, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, p); }
inline __mmask16 Mask(int lanes) {
  return lanes >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << lanes) - 1);
}

// One row of at most kVectors vectors, held in registers from the sum to the stores.
template <Format kFormat, int kVectors>
inline void NormRegisters(const NormArgs& args, size_t row) {
  const kernels::NormArgs& n = args.norm;
  const float* input = n.input + row * n.size;
  const float* residual = n.residual + row * n.size;
  Vector v[kVectors];
  Vector sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                    _mm512_setzero_ps()};
#pragma GCC unroll 24
  for (int i = 0; i < kVectors; ++i) {
    v[i] = _mm512_add_ps(
        _mm512_add_ps(_mm512_loadu_ps(input + i * 16), _mm512_loadu_ps(n.bias + i * 16)),
        _mm512_loadu_ps(residual + i * 16));
    sums[i & 3] = _mm512_add_ps(sums[i & 3], v[i]);
  }
  const float sum = _mm512_reduce_add_ps(
      _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
  const Vector mean = _mm512_set1_ps(sum / static_cast<float>(n.size));
  for (int i = 0; i < 4; ++i) sums[i] = _mm512_setzero_ps();
#pragma GCC unroll 24
  for (int i = 0; i < kVectors; ++i) {
    v[i] = _mm512_sub_ps(v[i], mean);
    sums[i & 3] = _mm512_fmadd_ps(v[i], v[i], sums[i & 3]);
  }
  const float squares = _mm512_reduce_add_ps(
      _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
  const Vector scale =
      _mm512_set1_ps(1.0f / __builtin_sqrtf(squares / static_cast<float>(n.size) + n.epsilon));
  float* output = n.output + row * n.size;
  uint16_t* activations = args.activations + row * args.stride;
#pragma GCC unroll 24
  for (int i = 0; i < kVectors; ++i) {
    v[i] = _mm512_fmadd_ps(_mm512_mul_ps(v[i], scale), _mm512_loadu_ps(n.gamma + i * 16),
                           _mm512_loadu_ps(n.beta + i * 16));
    _mm512_storeu_ps(output + i * 16, v[i]);
    if (i & 1) {
      StoreActivations<kFormat>(v[i - 1], v[i], activations + (i - 1) * 16, args.low_offset);
    }
  }
}

// One row of any size, through the output's memory.
template <Format kFormat>
inline void NormMemory(const NormArgs& args, size_t row) {
  const kernels::NormArgs& n = args.norm;
  const float* input = n.input + row * n.size;
  const float* residual = n.residual == nullptr ? nullptr : n.residual + row * n.size;
  float* output = n.output + row * n.size;
  Vector sum = _mm512_setzero_ps();
  for (int c = 0; c < n.size; c += 16) {
    const __mmask16 mask = Mask(n.size - c);
    Vector x = LoadMasked(input + c, mask);
    if (n.bias != nullptr) x = _mm512_add_ps(x, LoadMasked(n.bias + c, mask));
    if (residual != nullptr) x = _mm512_add_ps(x, LoadMasked(residual + c, mask));
    _mm512_mask_storeu_ps(output + c, mask, x);
    sum = _mm512_add_ps(sum, x);
  }
  const Vector mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / static_cast<float>(n.size));
  Vector squares = _mm512_setzero_ps();
  for (int c = 0; c < n.size; c += 16) {
    const __mmask16 mask = Mask(n.size - c);
    const Vector d = _mm512_maskz_sub_ps(mask, LoadMasked(output + c, mask), mean);
    squares = _mm512_fmadd_ps(d, d, squares);
  }
  const Vector scale = _mm512_set1_ps(
      1.0f /
      __builtin_sqrtf(_mm512_reduce_add_ps(squares) / static_cast<float>(n.size) + n.epsilon));
  uint16_t* activations = args.activations + row * args.stride;
  for (int c = 0; c < n.size; c += 32) {
    Vector v[2];
    for (int i = 0; i < 2; ++i) {
      const int at = c + i * 16;
      const __mmask16 mask = at < n.size ? Mask(n.size - at) : static_cast<__mmask16>(0);
      const Vector x = _mm512_mul_ps(_mm512_sub_ps(LoadMasked(output + at, mask), mean), scale);
      v[i] = _mm512_maskz_mov_ps(
          mask, _mm512_fmadd_ps(x, LoadMasked(n.gamma + at, mask), LoadMasked(n.beta + at, mask)));
      _mm512_mask_storeu_ps(output + at, mask, v[i]);
    }
    StoreActivations<kFormat>(v[0], v[1], activations + c, args.low_offset);
  }
}

template <Format kFormat>
void NormRowsOf(const NormArgs& args) {
  // 384 values are the largest common hidden size whose row fits the 32 vector registers.
  const bool registers =
      args.norm.size == 384 && args.norm.bias != nullptr && args.norm.residual != nullptr;
  for (int row = 0; row < args.norm.rows; ++row) {
    if (registers) {
      NormRegisters<kFormat, 24>(args, row);
    } else {
      NormMemory<kFormat>(args, row);
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
