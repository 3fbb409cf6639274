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
  const float* column_sums;
};

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

// A pair of vectors for the 32 columns of a panel.
struct Columns {
  Vector left, right;
  static Columns Load(const float* values) {
    return {_mm512_loadu_ps(values), _mm512_loadu_ps(values + 16)};
  }
  void Store(float* values) const {
    _mm512_storeu_ps(values, left);
    _mm512_storeu_ps(values + 16, right);
  }
};
inline Columns MulAdd(const Columns& a, const Columns& b, const Columns& c) {
  return {_mm512_fmadd_ps(a.left, b.left, c.left), _mm512_fmadd_ps(a.right, b.right, c.right)};
}
inline Columns ToFloats(const int32_t* sums) {
  return {_mm512_cvtepi32_ps(_mm512_load_si512(sums)),
          _mm512_cvtepi32_ps(_mm512_load_si512(sums + 16))};
}
inline Columns Same(float x) { return {_mm512_set1_ps(x), _mm512_set1_ps(x)}; }

// The floats of a group but the last are kept until it comes.
inline void AddGroup(const int32_t* sums, const float* weight_scale, int rows, float* floats) {
  const Columns scale = Columns::Load(weight_scale);
  for (int r = 0; r < rows; ++r, sums += kPanel, floats += kPanel) {
    MulAdd(ToFloats(sums), scale, Columns::Load(floats)).Store(floats);
  }
}

// With the last group, less the zeros, times the rows' scales.
inline void Finish(const int32_t* sums, const float* floats, const Scales& scales, int rows,
                   const BlockOutput& output) {
  const Columns scale = Columns::Load(scales.weight_scale);
  const Columns column_sums = Columns::Load(scales.column_sums);
  for (int r = 0; r < rows; ++r) {
    Quantization row;
    __builtin_memcpy(&row, scales.quantization + r * scales.stride, sizeof(row));
    Columns sum = MulAdd(Same(static_cast<float>(-row.zero)), column_sums,
                         floats == nullptr ? Same(0) : Columns::Load(floats + r * kPanel));
    sum = MulAdd(ToFloats(sums + r * kPanel), scale, sum);
    float* to = output.sums + r * output.stride;
    MulAdd(sum, Same(row.scale), output.accumulate ? Columns::Load(to) : Same(0)).Store(to);
  }
}

struct Int8Arithmetic {
  // The sum over depth of scale (q - zero) w: exact in integers within a group, then in floats over
  // the groups in order.
  static void Multiply(const GemmArgs& g, const Block& block, const BlockOutput& output) {
    BlockInput input = InputOf(g, block);
    Scales scales = {.quantization = reinterpret_cast<const char*>(input.rows + g.low_offset),
                     .stride = input.stride * 2,
                     .weight_scale = g.weight_scale + block.panel * kPanel,
                     .column_sums = g.column_sums + block.panel * kPanel};
    const uint16_t* panel = g.weights + block.panel * g.panel_stride;
    alignas(64) int32_t sums[kMaxRows * kPanel];
    const auto multiply = [&] {
      WithConstantRows(block.rows,
                       [&](auto rows) { MultiplyInt8<decltype(rows)::value>(input, panel, sums); });
    };
    if (g.group_steps >= g.steps) {
      multiply();
      return Finish(sums, nullptr, scales, block.rows, output);
    }
    alignas(64) float floats[kMaxRows * kPanel] = {};
    int left = g.steps;
    for (input.steps = g.group_steps; left > g.group_steps; left -= g.group_steps) {
      multiply();
      AddGroup(sums, scales.weight_scale, block.rows, floats);
      input.Advance();
      panel += static_cast<long>(2 * kTile) * g.group_steps;
      scales.weight_scale += g.scale_stride;
    }
    input.steps = left;
    multiply();
    Finish(sums, floats, scales, block.rows, output);
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

// Calls body with up to 16 values from each column on, times their factors, zero past the last one.
template <typename Body>
inline void ForEachScaled(const float* values, const QuantizedRow& row, const Body& body) {
  const auto scaled = [&](int c, __mmask16 mask) {
    const Vector x = _mm512_maskz_loadu_ps(mask, values + c);
    body(c, row.factors == nullptr
                ? x
                : _mm512_mul_ps(x, _mm512_maskz_loadu_ps(mask, row.factors + c)));
  };
  int c = 0;
#pragma GCC unroll 4
  for (; c + 16 <= row.columns; c += 16) scaled(c, static_cast<__mmask16>(0xffff));
  if (c < row.columns) scaled(c, static_cast<__mmask16>((1 << (row.columns - c)) - 1));
}

void QuantizeRow(const float* values, const QuantizedRow& row) {
  Vector low = _mm512_setzero_ps(), high = _mm512_setzero_ps(), unfit = _mm512_setzero_ps();
  ForEachScaled(values, row, [&](int /*column*/, Vector x) {
    low = _mm512_min_ps(low, x);
    high = _mm512_max_ps(high, x);
    unfit = _mm512_fmadd_ps(x, _mm512_setzero_ps(), unfit);
  });
  const float smallest = _mm512_reduce_min_ps(low);
  const float range = _mm512_reduce_max_ps(high) - smallest;
  const float inverse = range > 0 ? 255 / range : 0.0f;
  // A value that is not finite would vanish in a byte: it makes the row's scale so instead.
  const Quantization quantization = {range / 255 + _mm512_reduce_add_ps(unfit),
                                     _mm_cvtss_si32(_mm_set_ss(-smallest * inverse)) & 255};
  __builtin_memcpy(row.output + row.low_offset, &quantization, sizeof(quantization));
  auto* bytes = reinterpret_cast<uint8_t*>(row.output);
  const Vector factor = _mm512_set1_ps(inverse);
  const Vector zero = _mm512_set1_ps(static_cast<float>(quantization.zero));
  ForEachScaled(values, row, [&](int column, Vector x) {
    const __m512i q = _mm512_cvtps_epi32(_mm512_fmadd_ps(x, factor, zero));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + column),
                     _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512())));
  });
}

// Rows of an output that are made before they are quantized: all columns of a row must be known,
// and a panel of weights serves the rows while it is near.
constexpr int kQuantizedRows = 4 * kMaxRows;

template <Epilogue kEpilogue, bool kGated>
void QuantizedGemm(const GemmArgs& gemm, const ActivationOutput& out) {
  alignas(64) float values[kQuantizedRows * kMaxQuantizedColumns];
  alignas(64) float sums[kMaxRows * kPanel];
  const int columns = gemm.panels * kPanelOutputs<kGated>;
  GemmArgs g = gemm;
  for (int first = 0; first < gemm.rows; first += kQuantizedRows) {
    g.input = gemm.input + static_cast<size_t>(first) * gemm.input_stride;
    g.rows = gemm.rows - first < kQuantizedRows ? gemm.rows - first : kQuantizedRows;
    ForEachProduct(g, [&](const Block& block) {
      Int8Arithmetic::Multiply(g, block, {sums, kPanel, false});
      float* to = values + block.row * columns + block.panel * kPanelOutputs<kGated>;
      for (int r = 0; r < block.rows; ++r, to += columns) {
        Vector v[2];
        ActivatePanel<kEpilogue, kGated>(sums + r * kPanel, out.bias + block.panel * kPanel, v);
        _mm512_storeu_ps(to, v[0]);
        if constexpr (!kGated) _mm512_storeu_ps(to + 16, v[1]);
      }
    });
    for (int r = 0; r < g.rows; ++r) {
      QuantizeRow(values + r * columns, {out.output + static_cast<size_t>(first + r) * out.stride,
                                         out.low_offset, columns, nullptr});
    }
  }
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
