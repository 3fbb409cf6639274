// bfloat16 products on AVX-512 BF16, for the translation units of Format::kBf16. Included after
// avx512_gemm_inl.h; no include guard on purpose.

namespace contexture::kernels::mixed::CTX_MIXED_ISA {

struct Bf16Product {
  using Sum = __m512;
  static Sum Add(Sum sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
};

template <int kRows>
[[gnu::noinline]] void MultiplyBf16(const BlockInput& input, const uint16_t* panel,
                                    const BlockOutput& output) {
  __m512 sums[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    for (int half = 0; half < 2; ++half) {
      sums[r][half] = output.accumulate
                          ? _mm512_loadu_ps(output.sums + r * output.stride + half * 16)
                          : _mm512_setzero_ps();
    }
  }
  MultiplyBlock<Bf16Product, kRows>(input, panel, sums);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    for (int half = 0; half < 2; ++half) {
      _mm512_storeu_ps(output.sums + r * output.stride + half * 16, sums[r][half]);
    }
  }
}

inline void MultiplyBf16Rows(int rows, const BlockInput& input, const uint16_t* panel,
                             const BlockOutput& output) {
  WithConstantRows(
      rows, [&](auto height) { MultiplyBf16<decltype(height)::value>(input, panel, output); });
}

}  // namespace contexture::kernels::mixed::CTX_MIXED_ISA
