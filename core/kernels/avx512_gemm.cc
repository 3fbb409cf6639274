#include <immintrin.h>

#include <cstdint>
#include <type_traits>

#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

#define CTX_MIXED_ISA avx512
// Each builds on the one before.
// clang-format off
#include "core/kernels/avx512_gemm_inl.h"
#include "core/kernels/avx512_bf16_inl.h"
// clang-format on

namespace contexture::kernels::mixed::avx512 {
namespace {

// Calls body(row, height, input, panel, column) for every block of 32 columns.
template <typename Body>
inline void ForEachProduct(const GemmArgs& g, const Body& body) {
  for (int panel = 0; panel < g.panels; ++panel) {
    const uint16_t* weights = g.weights + panel * g.panel_stride;
    ForEachBlock(g.rows, [&](int row, int height) {
      const BlockInput input = {g.input + static_cast<size_t>(row) * g.input_stride, g.input_stride,
                                g.steps};
      body(row, height, input, weights, panel * kPanel);
    });
  }
}

template <Epilogue kEpilogue>
void ActivationGemm(const GemmArgs& g, const ActivationOutput& out) {
  alignas(64) float block[kMaxRows * kPanel];
  ForEachProduct(
      g, [&](int row, int height, const BlockInput& input, const uint16_t* weights, int column) {
        MultiplyBf16Rows(height, input, weights, {block, kPanel, false});
        const Vector bias[2] = {_mm512_loadu_ps(out.bias + column),
                                _mm512_loadu_ps(out.bias + column + 16)};
        for (int r = 0; r < height; ++r) {
          const float* values = block + r * kPanel;
          const Vector a = _mm512_add_ps(_mm512_load_ps(values), bias[0]);
          const Vector b = _mm512_add_ps(_mm512_load_ps(values + 16), bias[1]);
          StoreActivations<Format::kBf16>(
              Activate<Format::kBf16, kEpilogue>(a), Activate<Format::kBf16, kEpilogue>(b),
              out.output + static_cast<size_t>(row + r) * out.stride + column, 0);
        }
      });
}

}  // namespace

void GemmActivation(Format /*format*/, const GemmArgs& gemm, const ActivationOutput& output) {
  switch (output.epilogue) {
    case Epilogue::kNone:
    case Epilogue::kBias:
      return ActivationGemm<Epilogue::kBias>(gemm, output);
    case Epilogue::kBiasGeluErf:
      return ActivationGemm<Epilogue::kBiasGeluErf>(gemm, output);
    case Epilogue::kBiasGeluTanh:
      return ActivationGemm<Epilogue::kBiasGeluTanh>(gemm, output);
    case Epilogue::kBiasRelu:
      return ActivationGemm<Epilogue::kBiasRelu>(gemm, output);
    case Epilogue::kBiasSilu:
      return ActivationGemm<Epilogue::kBiasSilu>(gemm, output);
  }
}

void GemmFloat(Format /*format*/, const GemmArgs& gemm, const FloatOutput& output) {
  ForEachProduct(
      gemm, [&](int row, int height, const BlockInput& input, const uint16_t* weights, int column) {
        float* to = output.output + static_cast<size_t>(row) * output.stride + column;
        MultiplyBf16Rows(height, input, weights, {to, output.stride, output.accumulate});
        if (output.bias == nullptr) return;
        for (int r = 0; r < height; ++r, to += output.stride) {
          for (int half = 0; half < 2; ++half) {
            _mm512_storeu_ps(to + half * 16,
                             _mm512_add_ps(_mm512_loadu_ps(to + half * 16),
                                           _mm512_loadu_ps(output.bias + column + half * 16)));
          }
        }
      });
}

}  // namespace contexture::kernels::mixed::avx512
