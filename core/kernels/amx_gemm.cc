#include <algorithm>

#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

namespace contexture::kernels::mixed::amx {
namespace {

// Tiles: 0..3 the 2 x 2 accumulators of a 32 x 32 block, 4 and 5 inputs (upper and lower 16 rows),
// 6 and 7 weights (left and right 16 columns).
constexpr int kBlockRows = 32;
constexpr int kTile = 512;  // elements

struct StepInput {
  const uint16_t* input;  // of the upper 16 rows
  long row_bytes;
  long lower;  // elements to the lower 16 rows
  int low_offset;
};

#define CTX_PRODUCTS_UPPER(a) \
  _tile_dpbf16ps(0, a, 6);    \
  _tile_dpbf16ps(1, a, 7)
#define CTX_PRODUCTS_LOWER(a) \
  _tile_dpbf16ps(2, a, 6);    \
  _tile_dpbf16ps(3, a, 7)

template <Format kFormat, bool kTwo>
inline void MultiplyStep(const StepInput& a, const uint16_t* b) {
  _tile_loadd(6, b, 64);
  _tile_loadd(7, b + kTile, 64);
  if constexpr (kFormat == Format::kSplit) {
    // The small products first: low high, then high high, then high low.
    _tile_loadd(4, a.input + a.low_offset, a.row_bytes);
    CTX_PRODUCTS_UPPER(4);
    if constexpr (kTwo) {
      _tile_loadd(5, a.input + a.low_offset + a.lower, a.row_bytes);
      CTX_PRODUCTS_LOWER(5);
    }
  }
  _tile_loadd(4, a.input, a.row_bytes);
  CTX_PRODUCTS_UPPER(4);
  if constexpr (kTwo) {
    _tile_loadd(5, a.input + a.lower, a.row_bytes);
    CTX_PRODUCTS_LOWER(5);
  }
  if constexpr (kFormat == Format::kSplit) {
    _tile_loadd(6, b + 2 * kTile, 64);
    _tile_loadd(7, b + 3 * kTile, 64);
    CTX_PRODUCTS_UPPER(4);
    if constexpr (kTwo) {
      CTX_PRODUCTS_LOWER(5);
    }
  }
}
#undef CTX_PRODUCTS_UPPER
#undef CTX_PRODUCTS_LOWER

// A finished block whose rows still have to go through the epilogue.
template <typename RowEpilogue>
struct Pending {
  RowEpilogue& epilogue;
  const float* block = nullptr;  // [32, 32], null: nothing pending
  int row = 0, column = 0, rows = 0, done = 0;

  void AdvanceTo(int target) {
    for (target = std::min(target, rows); done < target; ++done) {
      epilogue(row + done, column, block + done * kPanel);
    }
  }
};

template <Format kFormat, bool kTwo, typename Between>
inline void MultiplyBlock(const GemmArgs& g, const uint16_t* input, const uint16_t* b,
                          Between&& between) {
  StepInput a = {input, static_cast<long>(g.input_stride) * 2, 16L * g.input_stride, g.low_offset};
  for (int step = 0; step < g.steps; ++step) {
    MultiplyStep<kFormat, kTwo>(a, b);
    a.input += kDepth;
    b += StepElements(kFormat);
    between(step);
  }
}

inline void ZeroAccumulators() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}
inline void LoadAccumulators(const float* c, int stride, bool two) {
  _tile_loadd(0, c, stride * 4L);
  _tile_loadd(1, c + 16, stride * 4L);
  if (!two) return;
  _tile_loadd(2, c + 16L * stride, stride * 4L);
  _tile_loadd(3, c + 16L * stride + 16, stride * 4L);
}
inline void StoreAccumulators(float* c, int stride, bool two) {
  _tile_stored(0, c, stride * 4L);
  _tile_stored(1, c + 16, stride * 4L);
  if (!two) return;
  _tile_stored(2, c + 16L * stride, stride * 4L);
  _tile_stored(3, c + 16L * stride + 16, stride * 4L);
}

// Every block's product goes to a scratch block, whose rows go through `epilogue` in the gaps
// between the tile products of the next block: the vector work costs hardly any time of its own.
template <Format kFormat, typename RowEpilogue>
inline void GemmThroughEpilogue(const GemmArgs& g, RowEpilogue epilogue) {
  alignas(64) float blocks[2][kBlockRows * kPanel];
  Pending<RowEpilogue> pending = {epilogue};
  const int rows_per_step = (kBlockRows + g.steps - 1) / g.steps;
  int buffer = 0;
  for (int panel = 0; panel < g.panels; ++panel) {
    const uint16_t* b = g.weights + panel * g.panel_stride;
    for (int row = 0; row < g.rows; row += kBlockRows) {
      const bool two = g.rows - row > 16;
      const uint16_t* input = g.input + static_cast<size_t>(row) * g.input_stride;
      const auto between = [&](int step) { pending.AdvanceTo((step + 1) * rows_per_step); };
      ZeroAccumulators();
      if (two) {
        MultiplyBlock<kFormat, true>(g, input, b, between);
      } else {
        MultiplyBlock<kFormat, false>(g, input, b, between);
      }
      pending.AdvanceTo(kBlockRows);
      StoreAccumulators(blocks[buffer], kPanel, two);
      pending.block = blocks[buffer];
      pending.row = row;
      pending.column = panel * kPanel;
      pending.rows = std::min(kBlockRows, g.rows - row);
      pending.done = 0;
      buffer ^= 1;
    }
  }
  pending.AdvanceTo(kBlockRows);
}

template <Format kFormat>
inline void GemmDirect(const GemmArgs& g, const FloatOutput& out) {
  const auto nothing = [](int) {};
  for (int panel = 0; panel < g.panels; ++panel) {
    const uint16_t* b = g.weights + panel * g.panel_stride;
    for (int row = 0; row < g.rows; row += kBlockRows) {
      const bool two = g.rows - row > 16;
      const uint16_t* input = g.input + static_cast<size_t>(row) * g.input_stride;
      float* c = out.output + static_cast<size_t>(row) * out.stride + panel * kPanel;
      if (out.accumulate) {
        LoadAccumulators(c, out.stride, two);
      } else {
        ZeroAccumulators();
      }
      if (two) {
        MultiplyBlock<kFormat, true>(g, input, b, nothing);
      } else {
        MultiplyBlock<kFormat, false>(g, input, b, nothing);
      }
      StoreAccumulators(c, out.stride, two);
    }
  }
}

template <Format kFormat, Epilogue kEpilogue>
void ActivationGemm(const GemmArgs& g, const ActivationOutput& out) {
  GemmThroughEpilogue<kFormat>(g, [&out](int row, int column, const float* values) {
    const float* bias = out.bias + column;
    const Vector a = _mm512_add_ps(_mm512_load_ps(values), _mm512_loadu_ps(bias));
    const Vector b = _mm512_add_ps(_mm512_load_ps(values + 16), _mm512_loadu_ps(bias + 16));
    uint16_t* to = out.output + static_cast<size_t>(row) * out.stride;
    if (out.gated) {
      StoreActivations<kFormat>(_mm512_mul_ps(Activate<kFormat, kEpilogue>(a), b), to + column / 2,
                                out.low_offset);
    } else {
      StoreActivations<kFormat>(Activate<kFormat, kEpilogue>(a), Activate<kFormat, kEpilogue>(b),
                                to + column, out.low_offset);
    }
  });
}

template <Format kFormat>
void ActivationGemmOf(const GemmArgs& g, const ActivationOutput& out) {
  switch (out.epilogue) {
    case Epilogue::kNone:
    case Epilogue::kBias:
      return ActivationGemm<kFormat, Epilogue::kBias>(g, out);
    case Epilogue::kBiasGeluErf:
      return ActivationGemm<kFormat, Epilogue::kBiasGeluErf>(g, out);
    case Epilogue::kBiasGeluTanh:
      return ActivationGemm<kFormat, Epilogue::kBiasGeluTanh>(g, out);
    case Epilogue::kBiasRelu:
      return ActivationGemm<kFormat, Epilogue::kBiasRelu>(g, out);
    case Epilogue::kBiasSilu:
      return ActivationGemm<kFormat, Epilogue::kBiasSilu>(g, out);
  }
}

template <Format kFormat>
void FloatGemmOf(const GemmArgs& g, const FloatOutput& out) {
  if (out.bias == nullptr) return GemmDirect<kFormat>(g, out);
  GemmThroughEpilogue<kFormat>(g, [&out](int row, int column, const float* values) {
    float* to = out.output + static_cast<size_t>(row) * out.stride + column;
    const float* bias = out.bias + column;
    _mm512_storeu_ps(to, _mm512_add_ps(_mm512_load_ps(values), _mm512_loadu_ps(bias)));
    _mm512_storeu_ps(to + 16,
                     _mm512_add_ps(_mm512_load_ps(values + 16), _mm512_loadu_ps(bias + 16)));
  });
}

}  // namespace

void GemmActivation(Format format, const GemmArgs& gemm, const ActivationOutput& output) {
  format == Format::kBf16 ? ActivationGemmOf<Format::kBf16>(gemm, output)
                          : ActivationGemmOf<Format::kSplit>(gemm, output);
}

void GemmFloat(Format format, const GemmArgs& gemm, const FloatOutput& output) {
  format == Format::kBf16 ? FloatGemmOf<Format::kBf16>(gemm, output)
                          : FloatGemmOf<Format::kSplit>(gemm, output);
}

}  // namespace contexture::kernels::mixed::amx
