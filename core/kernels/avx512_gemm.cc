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

struct Bf16Arithmetic {
  static void Multiply(const GemmArgs& g, const Block& block, const BlockOutput& output) {
    MultiplyBf16Rows(block.rows, InputOf(g, block), g.weights + block.panel * g.panel_stride,
                     output);
  }
  static void Store(Vector low, Vector high, uint16_t* output) {
    StoreActivations<Format::kBf16>(low, high, output, 0);
  }
  static void Store(Vector values, uint16_t* output) {
    StoreActivations<Format::kBf16>(values, output, 0);
  }
};

}  // namespace

void GemmActivation(Format /*format*/, const GemmArgs& gemm, const ActivationOutput& output) {
  WithConstantEpilogue(output, [&](auto epilogue, auto gated) {
    ActivationGemm<Bf16Arithmetic, decltype(epilogue)::value, decltype(gated)::value>(gemm, output);
  });
}

void GemmFloat(Format /*format*/, const GemmArgs& gemm, const FloatOutput& output) {
  FloatGemm<Bf16Arithmetic>(gemm, output);
}

}  // namespace contexture::kernels::mixed::avx512
