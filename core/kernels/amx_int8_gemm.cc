#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

#define CTX_MIXED_ISA amx_int8
// Each builds on the one before.
// clang-format off
#include "core/kernels/avx512_gemm_inl.h"
#include "core/kernels/int8_rows_inl.h"
// clang-format on

namespace contexture::kernels::mixed::amx_int8 {
namespace {

// Tiles: 0..3 the 2 x 2 sums of a 32 x 32 block, 4 and 5 inputs (upper and lower 16 rows), 6 and 7
// weights (left and right 16 columns).
constexpr int kBlockRows = 32;

struct StepInput {
  const uint16_t* rows;  // the upper 16
  long row_bytes;
  long lower;  // elements to the lower 16
};

template <bool kTwo>
inline void MultiplyStep(const StepInput& input, const uint16_t* weights) {
  _tile_loadd(6, weights, 64);
  _tile_loadd(7, weights + kTile, 64);
  _tile_loadd(4, input.rows, input.row_bytes);
  _tile_dpbusd(0, 4, 6);
  _tile_dpbusd(1, 4, 7);
  if constexpr (kTwo) {
    _tile_loadd(5, input.rows + input.lower, input.row_bytes);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
}

// The sums of a block over a group of depth: `rows` are those of the block that count.
struct Group {
  int row, rows, panel;
  int first_step, steps;
  bool first, last;  // of its block
};

// sums: [32, 32]. Calls between(step), counted from 1, after each step.
template <bool kTwo, typename Between>
inline void MultiplyGroup(const GemmArgs& g, const Group& group, int32_t* sums,
                          const Between& between) {
  StepInput input = {g.input + static_cast<size_t>(group.row) * g.input_stride +
                         static_cast<size_t>(group.first_step) * kDepth,
                     g.input_stride * 2L, 16L * g.input_stride};
  const uint16_t* weights =
      g.weights + group.panel * g.panel_stride + static_cast<size_t>(group.first_step) * 2 * kTile;
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTwo) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int step = 0; step < group.steps; ++step) {
    MultiplyStep<kTwo>(input, weights);
    input.rows += kDepth;
    weights += 2 * kTile;
    between(step + 1);
  }
  constexpr long kBytes = kPanel * sizeof(int32_t);
  _tile_stored(0, sums, kBytes);
  _tile_stored(1, sums + 16, kBytes);
  if constexpr (kTwo) {
    _tile_stored(2, sums + 16 * kPanel, kBytes);
    _tile_stored(3, sums + 16 * kPanel + 16, kBytes);
  }
}

// Turns the sums of groups into floats, row by row, and hands finished rows to
//   void Output::Row(int row, int panel, const Columns& sum, float scale);
// where sum * scale is the product. A block's groups come in order.
template <typename Output>
class Finisher {
 public:
  Finisher(const GemmArgs& g, const Output& output) : g_(g), output_(output) {}

  void Begin(const Group& group, const int32_t* sums) {
    group_ = group;
    sums_ = sums;
    done_ = 0;
  }
  void AdvanceTo(int target) {
    for (target = std::min(target, group_.rows); done_ < target; ++done_) Row(done_);
  }

 private:
  void Row(int r) {
    const float* weight_scale =
        g_.weight_scale + group_.panel * kPanel +
        static_cast<size_t>(group_.first_step / g_.group_steps) * g_.scale_stride;
    const Columns scale = Columns::Load(weight_scale);
    const Columns sums =
        ToFloats(_mm512_load_si512(sums_ + r * kPanel), _mm512_load_si512(sums_ + r * kPanel + 16));
    float* kept = floats_ + r * kPanel;
    const Columns floats = group_.first ? Same(0) : Columns::Load(kept);
    if (!group_.last) return AddGroup(sums, scale, floats).Store(kept);
    const Quantization row = ReadQuantization(g_, group_.row + r);
    const ColumnScales columns = {scale, Columns::Load(g_.column_sums + group_.panel * kPanel)};
    output_.Row(group_.row + r, group_.panel, FinishRow(sums, floats, columns, row), row.scale);
  }

  const GemmArgs& g_;
  const Output& output_;
  Group group_ = {};
  const int32_t* sums_ = nullptr;
  int done_ = 0;
  alignas(64) float floats_[kBlockRows * kPanel];  // of the groups before the last
};

// The sums of a group go to memory, and become floats in the gaps between the tile products of the
// next one: the vector work costs hardly any time of its own.
template <typename Output>
void Multiply(const GemmArgs& g, const Output& output) {
  alignas(64) int32_t sums[2][kBlockRows * kPanel];
  Finisher<Output> finisher(g, output);
  int buffer = 0;
  for (int panel = 0; panel < g.panels; ++panel) {
    for (int row = 0; row < g.rows; row += kBlockRows) {
      const int rows = std::min(kBlockRows, g.rows - row);
      for (int step = 0; step < g.steps; step += g.group_steps) {
        const int steps = std::min(g.group_steps, g.steps - step);
        const Group group = {row, rows, panel, step, steps, step == 0, step + steps == g.steps};
        const auto between = [&](int done) { finisher.AdvanceTo(kBlockRows * done / steps); };
        if (rows > 16) {
          MultiplyGroup<true>(g, group, sums[buffer], between);
        } else {
          MultiplyGroup<false>(g, group, sums[buffer], between);
        }
        finisher.Begin(group, sums[buffer]);
        buffer ^= 1;
      }
    }
  }
  finisher.AdvanceTo(kBlockRows);
}

struct FloatRows {
  const FloatOutput& out;
  void Row(int row, int panel, const Columns& sum, float scale) const {
    float* to = out.output + static_cast<size_t>(row) * out.stride + panel * kPanel;
    Columns product = MulAdd(sum, Same(scale), out.accumulate ? Columns::Load(to) : Same(0));
    if (out.bias != nullptr) {
      const Columns bias = Columns::Load(out.bias + panel * kPanel);
      product = {_mm512_add_ps(product.left, bias.left), _mm512_add_ps(product.right, bias.right)};
    }
    product.Store(to);
  }
};

template <Epilogue kEpilogue, bool kGated>
inline void ActivateRow(const Columns& sum, float scale, const float* bias, Vector (&result)[2]) {
  alignas(64) float product[kPanel];
  MulAdd(sum, Same(scale), Same(0)).Store(product);
  ActivatePanel<kEpilogue, kGated>(product, bias, result);
}

template <Epilogue kEpilogue, bool kGated>
struct Bf16Rows {
  const ActivationOutput& out;
  void Row(int row, int panel, const Columns& sum, float scale) const {
    Vector v[2];
    ActivateRow<kEpilogue, kGated>(sum, scale, out.bias + panel * kPanel, v);
    uint16_t* to =
        out.output + static_cast<size_t>(row) * out.stride + panel * kPanelOutputs<kGated>;
    if constexpr (kGated) {
      Int8Stores::Store(v[0], to);
    } else {
      Int8Stores::Store(v[0], v[1], to);
    }
  }
};

template <Epilogue kEpilogue, bool kGated>
struct ValueRows {  // floats that are quantized later
  const float* bias;
  float* values;
  int columns;
  void Row(int row, int panel, const Columns& sum, float scale) const {
    Vector v[2];
    ActivateRow<kEpilogue, kGated>(sum, scale, bias + panel * kPanel, v);
    float* to = values + row * columns + panel * kPanelOutputs<kGated>;
    _mm512_storeu_ps(to, v[0]);
    if constexpr (!kGated) _mm512_storeu_ps(to + 16, v[1]);
  }
};

// Rows of an output that are made before they are quantized, since all columns of a row must be
// known: enough for a panel of weights to serve while it is near.
constexpr int kQuantizedRows = 2 * kBlockRows;

template <Epilogue kEpilogue, bool kGated>
void QuantizedGemm(const GemmArgs& gemm, const ActivationOutput& out) {
  alignas(64) float values[kQuantizedRows * kMaxQuantizedColumns];
  const int columns = gemm.panels * kPanelOutputs<kGated>;
  GemmArgs g = gemm;
  for (int first = 0; first < gemm.rows; first += kQuantizedRows) {
    g.input = gemm.input + static_cast<size_t>(first) * gemm.input_stride;
    g.rows = std::min(kQuantizedRows, gemm.rows - first);
    Multiply(g, ValueRows<kEpilogue, kGated>{out.bias, values, columns});
    for (int r = 0; r < g.rows; ++r) {
      QuantizeRow(values + r * columns, {out.output + static_cast<size_t>(first + r) * out.stride,
                                         out.low_offset, columns, nullptr});
    }
  }
}

}  // namespace

void GemmActivation(Format /*format*/, const GemmArgs& gemm, const ActivationOutput& output) {
  WithConstantEpilogue(output, [&](auto epilogue, auto gated) {
    constexpr Epilogue kEpilogue = decltype(epilogue)::value;
    constexpr bool kGated = decltype(gated)::value;
    if (output.format == Format::kInt8) {
      QuantizedGemm<kEpilogue, kGated>(gemm, output);
    } else {
      Multiply(gemm, Bf16Rows<kEpilogue, kGated>{output});
    }
  });
}

void GemmFloat(Format /*format*/, const GemmArgs& gemm, const FloatOutput& output) {
  Multiply(gemm, FloatRows{output});
}

}  // namespace contexture::kernels::mixed::amx_int8
