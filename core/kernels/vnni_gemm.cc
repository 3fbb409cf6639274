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

// sums += a block over the steps of INPUT, from zero; they stay in registers.
template <int kRows>
inline void MultiplyRows(const BlockInput& input, const uint16_t* panel,
                         __m512i (&sums)[kRows][2]) {
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    sums[r][0] = _mm512_setzero_si512();
    sums[r][1] = _mm512_setzero_si512();
  }
  MultiplyBlock<Int8Product, kRows>(input, panel, sums);
  // GCC 12 would keep them in memory all the time because of what comes after.
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) asm volatile("" : "+v"(sums[r][0]), "+v"(sums[r][1]));
}

// The groups of depth before the last: their floats are kept until it comes.
struct KeptGroup {
  float* floats;  // [rows, 32]
  const float* weight_scale;
  bool first;  // nothing is kept yet
};

template <int kRows>
[[gnu::noinline]] void MultiplyKept(const BlockInput& input, const uint16_t* panel,
                                    const KeptGroup& kept) {
  __m512i sums[kRows][2];
  MultiplyRows<kRows>(input, panel, sums);
  const Columns scale = Columns::Load(kept.weight_scale);
  float* floats = kept.floats;
  if (kept.first) {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      AddGroup(ToFloats(sums[r][0], sums[r][1]), scale, Same(0)).Store(floats + r * kPanel);
    }
  } else {
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      AddGroup(ToFloats(sums[r][0], sums[r][1]), scale, Columns::Load(floats + r * kPanel))
          .Store(floats + r * kPanel);
    }
  }
}

// The last group: with those that are kept, less the zeros, times the rows' scales.
struct LastGroup {
  const float* floats;  // null: it is the only one
  const float* weight_scale;
  const float* column_sums;
  const uint16_t* quantization;  // of the first row
  BlockOutput output;
};

template <int kRows>
[[gnu::noinline]] void MultiplyLast(const BlockInput& input, const uint16_t* panel,
                                    const LastGroup& last) {
  __m512i sums[kRows][2];
  MultiplyRows<kRows>(input, panel, sums);
  const ColumnScales columns = {Columns::Load(last.weight_scale), Columns::Load(last.column_sums)};
  const uint16_t* quantization = last.quantization;
  const long stride = input.stride;
  const float* floats = last.floats;
  float* to = last.output.sums;
  const long to_stride = last.output.stride;
  const bool accumulate = last.output.accumulate;
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    Quantization row;
    __builtin_memcpy(&row, quantization, sizeof(row));
    quantization += stride;
    const Columns before = floats == nullptr ? Same(0) : Columns::Load(floats + r * kPanel);
    const Columns sum = FinishRow(ToFloats(sums[r][0], sums[r][1]), before, columns, row);
    MulAdd(sum, Same(row.scale), accumulate ? Columns::Load(to) : Same(0)).Store(to);
    to += to_stride;
  }
}

struct Int8Arithmetic : Int8Stores {
  // The sum over depth of scale (q - zero) w: exact in integers within a group, then in floats over
  // the groups in order.
  static void Multiply(const GemmArgs& g, const Block& block, const BlockOutput& output) {
    BlockInput input = InputOf(g, block);
    const uint16_t* panel = g.weights + block.panel * g.panel_stride;
    alignas(64) float floats[kMaxRows * kPanel];
    KeptGroup kept = {floats, g.weight_scale + block.panel * kPanel, true};
    LastGroup last = {nullptr, nullptr, g.column_sums + block.panel * kPanel,
                      input.rows + g.low_offset, output};
    int left = g.steps;
    for (input.steps = g.group_steps; left > g.group_steps; left -= g.group_steps) {
      WithConstantRows(block.rows,
                       [&](auto rows) { MultiplyKept<decltype(rows)::value>(input, panel, kept); });
      input.Advance();
      panel += static_cast<long>(2 * kTile) * g.group_steps;
      kept.weight_scale += g.scale_stride;
      kept.first = false;
    }
    input.steps = left;
    last.floats = kept.first ? nullptr : floats;
    last.weight_scale = kept.weight_scale;
    WithConstantRows(block.rows,
                     [&](auto rows) { MultiplyLast<decltype(rows)::value>(input, panel, last); });
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

}  // namespace contexture::kernels::mixed::vnni
