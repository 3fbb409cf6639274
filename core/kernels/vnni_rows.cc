#include <immintrin.h>

#include <cstdint>

#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

#define CTX_MIXED_ISA vnni
#include "core/kernels/int8_rows_inl.h"
#include "core/kernels/norm_rows_inl.h"

namespace contexture::kernels::mixed::vnni {
namespace {

// QuantizeRow of what is in registers: the same bits.
inline void QuantizeRegisters(Vector (&v)[kRegisterVectors], const QuantizedRow& row) {
  if (row.factors != nullptr) {
#pragma GCC unroll 24
    for (int i = 0; i < kRegisterVectors; ++i) {
      v[i] = _mm512_mul_ps(v[i], _mm512_loadu_ps(row.factors + i * 16));
    }
  }
  RowRange range;
#pragma GCC unroll 24
  for (int i = 0; i < kRegisterVectors; ++i) range.Add(v[i]);
  const RowScale scale(range, row);
#pragma GCC unroll 24
  for (int i = 0; i < kRegisterVectors; ++i) scale.Store(v[i], i * 16);
}

// A row of any size, through memory.
inline void NormMemory(const NormArgs& args, const NormRow& row) {
  const VectorKernels& kernels = GetVectorKernels(Isa::kAvx512Vnni);
  const int size = args.norm.size;
  kernels::NormArgs n = args.norm;
  n.rows = 1;
  n.input = row.input;
  n.residual = row.residual;
  n.output = row.output;
  if (row.sum != nullptr) {
    kernels.add({row.input, n.bias, row.residual, row.sum, 1, size});
    n.input = row.sum;
    n.bias = n.residual = nullptr;
  }
  kernels.norm(n);
  if (row.activations == nullptr) return;
  QuantizeRow(row.output, {row.activations, args.low_offset, size, args.factors});
}

}  // namespace

void NormRows(Format /*format*/, const NormArgs& args) {
  const bool registers = FitsRegisters(args);
  for (int r = 0; r < args.norm.rows; ++r) {
    const NormRow row = NormRowOf(args, r);
    if (!registers) {
      NormMemory(args, row);
      continue;
    }
    Vector v[kRegisterVectors];
    NormRegisters(args.norm, row, v);
    QuantizeRegisters(v, {row.activations, args.low_offset, args.norm.size, args.factors});
  }
}

void ConvertRows(Format format, const ConvertArgs& args) {
  if (format == Format::kBf16) return mixed::ConvertRows(format, args);
  for (int r = 0; r < args.rows; ++r) {
    QuantizeRow(args.input + static_cast<size_t>(r) * args.input_stride,
                {args.output + static_cast<size_t>(r) * args.stride, args.low_offset, args.columns,
                 args.factors});
  }
}

}  // namespace contexture::kernels::mixed::vnni
