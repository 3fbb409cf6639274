#include <immintrin.h>

#include <cstdint>
#include <type_traits>

#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

#define CTX_MIXED_ISA vnni
// Each builds on the one before.
// clang-format off
#include "core/kernels/avx512_gemm_inl.h"
#include "core/kernels/int8_rows_inl.h"
// clang-format on

namespace contexture::kernels::mixed::vnni {
namespace {

struct Int8Product {
  using Sum = __m512i;
  static Sum Add(Sum sum, __m512i a, __m512i b) { return _mm512_dpbusd_epi32(sum, a, b); }
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

// The floats of a group but the last are kept until it comes.
inline void KeepGroup(const int32_t* sums, const float* weight_scale, int rows, float* floats) {
  const Columns scale = Columns::Load(weight_scale);
  for (int r = 0; r < rows; ++r, sums += kPanel, floats += kPanel) {
    AddGroup(sums, scale, Columns::Load(floats)).Store(floats);
  }
}

// With the last group, times the rows' scales. `floats`: null: there was no group before.
inline void Finish(const int32_t* sums, const float* floats, const ColumnScales& columns,
                   const GemmArgs& g, const Block& block, const BlockOutput& output) {
  for (int r = 0; r < block.rows; ++r) {
    const Quantization row = ReadQuantization(g, block.row + r);
    const Columns sum =
        FinishRow(sums + r * kPanel,
                  floats == nullptr ? Same(0) : Columns::Load(floats + r * kPanel), columns, row);
    float* to = output.sums + r * output.stride;
    MulAdd(sum, Same(row.scale), output.accumulate ? Columns::Load(to) : Same(0)).Store(to);
  }
}

struct Int8Arithmetic : Int8Stores {
  // The sum over depth of scale (q - zero) w: exact in integers within a group, then in floats over
  // the groups in order.
  static void Multiply(const GemmArgs& g, const Block& block, const BlockOutput& output) {
    BlockInput input = InputOf(g, block);
    const float* weight_scale = g.weight_scale + block.panel * kPanel;
    const Columns column_sums = Columns::Load(g.column_sums + block.panel * kPanel);
    const uint16_t* panel = g.weights + block.panel * g.panel_stride;
    alignas(64) int32_t sums[kMaxRows * kPanel];
    const auto multiply = [&] {
      WithConstantRows(block.rows,
                       [&](auto rows) { MultiplyInt8<decltype(rows)::value>(input, panel, sums); });
    };
    if (g.group_steps >= g.steps) {
      multiply();
      return Finish(sums, nullptr, {Columns::Load(weight_scale), column_sums}, g, block, output);
    }
    alignas(64) float floats[kMaxRows * kPanel] = {};
    int left = g.steps;
    for (input.steps = g.group_steps; left > g.group_steps; left -= g.group_steps) {
      multiply();
      KeepGroup(sums, weight_scale, block.rows, floats);
      input.Advance();
      panel += static_cast<long>(2 * kTile) * g.group_steps;
      weight_scale += g.scale_stride;
    }
    input.steps = left;
    multiply();
    Finish(sums, floats, {Columns::Load(weight_scale), column_sums}, g, block, output);
  }
};

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
