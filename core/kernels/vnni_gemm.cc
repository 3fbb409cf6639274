#include <immintrin.h>

#include <cstdint>
#include <type_traits>

#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

#define CTX_MIXED_ISA vnni
#include "core/kernels/avx512_gemm_inl.h"

namespace contexture::kernels::mixed::vnni {
namespace {

struct Int8Product {
  using Sum = __m512i;
  static Sum Add(Sum sum, __m512i a, __m512i b) { return _mm512_dpbusd_epi32(sum, a, b); }
};

// What turns the integer sums of a block into floats.
struct Scales {
  const char* quantization;  // of the first row
  long stride;               // bytes between the Quantizations of rows
  const float* weight_scale;
  const int32_t* column_sums;
};

// The sum over depth of (q - zero) w, exact in integers, times both scales.
inline Vector Dequantize(__m512i sum, const Quantization& row, const Scales& scales, int column) {
  const __m512i zeros = _mm512_mullo_epi32(_mm512_set1_epi32(row.zero),
                                           _mm512_loadu_si512(scales.column_sums + column));
  const Vector scale =
      _mm512_mul_ps(_mm512_set1_ps(row.scale), _mm512_loadu_ps(scales.weight_scale + column));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(sum, zeros)), scale);
}

// sums: [kRows, 32].
template <int kRows>
[[gnu::noinline]] void MultiplyInt8(const BlockInput& input, const uint16_t* panel, int32_t* sums) {
  __m512i block[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    block[r][0] = _mm512_setzero_si512();
    block[r][1] = _mm512_setzero_si512();
  }
  MultiplyBlock<Int8Product, kRows>(input, panel, block);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    _mm512_store_si512(sums + r * kPanel, block[r][0]);
    _mm512_store_si512(sums + r * kPanel + 16, block[r][1]);
  }
}

struct Int8Arithmetic {
  static void Multiply(const GemmArgs& g, const Block& block, const BlockOutput& output) {
    const BlockInput input = InputOf(g, block);
    const Scales scales = {reinterpret_cast<const char*>(input.rows + g.low_offset),
                           input.stride * 2, g.weight_scale + block.panel * kPanel,
                           g.column_sums + block.panel * kPanel};
    alignas(64) int32_t sums[kMaxRows * kPanel];
    WithConstantRows(block.rows, [&](auto rows) {
      MultiplyInt8<decltype(rows)::value>(input, g.weights + block.panel * g.panel_stride, sums);
    });
    for (int r = 0; r < block.rows; ++r) {
      Quantization row;
      __builtin_memcpy(&row, scales.quantization + r * scales.stride, sizeof(row));
      for (int half = 0; half < kPanel; half += 16) {
        float* to = output.sums + r * output.stride + half;
        Vector value = Dequantize(_mm512_load_si512(sums + r * kPanel + half), row, scales, half);
        if (output.accumulate) value = _mm512_add_ps(_mm512_loadu_ps(to), value);
        _mm512_storeu_ps(to, value);
      }
    }
  }
  // bfloat16, rounded to nearest even with integers: not all CPUs with VNNI convert to it.
  static __m256i NarrowHalf(Vector x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i kept = _mm512_mask_blend_epi32(nan, rounded, _mm512_set1_epi32(0x7fc00000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
  }
  static void Store(Vector low, Vector high, uint16_t* output) {
    Store(low, output);
    Store(high, output + 16);
  }
  static void Store(Vector values, uint16_t* output) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(output), NarrowHalf(values));
  }
};

struct QuantizedRow {
  uint16_t* output;
  int low_offset;
  int columns;
  const float* factors;
};

// 16 values from `column` on, zero past the last one.
inline Vector LoadScaled(const float* values, const QuantizedRow& row, int column) {
  const int left = row.columns - column;
  const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
  const Vector x = _mm512_maskz_loadu_ps(mask, values + column);
  if (row.factors == nullptr) return x;
  return _mm512_mul_ps(x, _mm512_maskz_loadu_ps(mask, row.factors + column));
}

void QuantizeRow(const float* values, const QuantizedRow& row) {
  Vector low = _mm512_setzero_ps(), high = _mm512_setzero_ps(), unfit = _mm512_setzero_ps();
  for (int c = 0; c < row.columns; c += 16) {
    const Vector x = LoadScaled(values, row, c);
    low = _mm512_min_ps(low, x);
    high = _mm512_max_ps(high, x);
    unfit = _mm512_fmadd_ps(x, _mm512_setzero_ps(), unfit);
  }
  const float smallest = _mm512_reduce_min_ps(low);
  const float range = _mm512_reduce_max_ps(high) - smallest;
  const float inverse = range > 0 ? 255 / range : 0.0f;
  // A value that is not finite would vanish in a byte: it makes the row's scale so instead.
  const Quantization quantization = {range / 255 + _mm512_reduce_add_ps(unfit),
                                     _mm_cvtss_si32(_mm_set_ss(-smallest * inverse)) & 255};
  __builtin_memcpy(row.output + row.low_offset, &quantization, sizeof(quantization));
  auto* bytes = reinterpret_cast<uint8_t*>(row.output);
  const __m512i zero = _mm512_set1_epi32(quantization.zero);
  for (int c = 0; c < row.columns; c += 16) {
    const Vector x = LoadScaled(values, row, c);
    const __m512i q =
        _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(inverse))), zero);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + c),
                     _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512())));
  }
}

// Rows outside: all columns of a row must be known before it is quantized.
template <Epilogue kEpilogue, bool kGated>
void QuantizedGemm(const GemmArgs& g, const ActivationOutput& out) {
  alignas(64) float values[kMaxRows * kMaxQuantizedColumns];
  alignas(64) float sums[kMaxRows * kPanel];
  const int columns = g.panels * kPanelOutputs<kGated>;
  ForEachBlock(g.rows, [&](int row, int rows) {
    for (int panel = 0; panel < g.panels; ++panel) {
      Int8Arithmetic::Multiply(g, {row, rows, panel}, {sums, kPanel, false});
      float* to = values + panel * kPanelOutputs<kGated>;
      for (int r = 0; r < rows; ++r, to += columns) {
        Vector v[2];
        ActivatePanel<kEpilogue, kGated>(sums + r * kPanel, out.bias + panel * kPanel, v);
        _mm512_storeu_ps(to, v[0]);
        if constexpr (!kGated) _mm512_storeu_ps(to + 16, v[1]);
      }
    }
    for (int r = 0; r < rows; ++r) {
      QuantizeRow(values + r * columns, {out.output + static_cast<size_t>(row + r) * out.stride,
                                         out.low_offset, columns, nullptr});
    }
  });
}

}  // namespace

void GemmActivation(Format /*format*/, const GemmArgs& gemm, const ActivationOutput& output) {
  WithConstantEpilogue(output, [&](auto epilogue, auto gated) {
    if (output.format == Format::kInt8) {
      QuantizedGemm<decltype(epilogue)::value, decltype(gated)::value>(gemm, output);
    } else {
      ActivationGemm<Int8Arithmetic, decltype(epilogue)::value, decltype(gated)::value>(gemm,
                                                                                        output);
    }
  });
}

void GemmFloat(Format /*format*/, const GemmArgs& gemm, const FloatOutput& output) {
  FloatGemm<Int8Arithmetic>(gemm, output);
}

void NormRows(Format /*format*/, const NormArgs& args) {
  const VectorKernels& kernels = GetVectorKernels(Isa::kAvx512Vnni);
  kernels::NormArgs row = args.norm;
  const int size = row.size;
  row.rows = 1;
  for (int r = 0; r < args.norm.rows; ++r) {
    const size_t at = static_cast<size_t>(r) * size;
    row.input = args.norm.input + static_cast<size_t>(r) * StrideOr(args.input_stride, size);
    row.output = args.norm.output + static_cast<size_t>(r) * StrideOr(args.output_stride, size);
    row.bias = args.norm.bias;
    row.residual = args.norm.residual == nullptr ? nullptr : args.norm.residual + at;
    if (args.sum != nullptr) {
      kernels.add({row.input, row.bias, row.residual, args.sum + at, 1, size});
      row.input = args.sum + at;
      row.bias = row.residual = nullptr;
    }
    kernels.norm(row);
    if (args.activations == nullptr) continue;
    QuantizeRow(row.output, {args.activations + static_cast<size_t>(r) * args.stride,
                             args.low_offset, size, args.factors});
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
