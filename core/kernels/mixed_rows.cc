#include <type_traits>

#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

#define CTX_MIXED_ISA avx512
#include "core/kernels/norm_rows_inl.h"

namespace contexture::kernels::mixed {
namespace {

using avx512::Mask;

inline Vector LoadMasked(const float* p, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, p); }

template <Format kFormat>
void NormRowsOf(const NormArgs& args) {
  const int size = args.norm.size;
  avx512::ForEachNormGroup(args, [&](const auto& group, auto rows) {
    if (args.activations == nullptr) return group.Finish([](int, int, Vector) {});
    group.Finish([&](int r, int c, Vector x) {
      StoreActivations<kFormat>(x, group.activations(r) + c, args.low_offset);
    });
    if (size % kDepth == 0 || size % kDepth > 16) return;
    for (int r = 0; r < rows; ++r) {  // activations are whole in kDepth
      StoreActivations<kFormat>(
          _mm512_setzero_ps(), group.activations(r) + size / kDepth * kDepth + 16, args.low_offset);
    }
  });
}

template <Format kFormat>
void ConvertRow(const float* input, int columns, uint16_t* output, int low_offset) {
  for (int c = 0; c < columns; c += 32) {
    const int second = columns - c - 16;
    StoreActivations<kFormat>(
        LoadMasked(input + c, Mask(columns - c)),
        second > 0 ? LoadMasked(input + c + 16, Mask(second)) : _mm512_setzero_ps(), output + c,
        low_offset);
  }
}

}  // namespace

void NormRows(Format format, const NormArgs& args) {
  format == Format::kBf16 ? NormRowsOf<Format::kBf16>(args) : NormRowsOf<Format::kSplit>(args);
}

void ConvertRows(Format format, const ConvertArgs& args) {
  for (int r = 0; r < args.rows; ++r) {
    const float* from = args.input + static_cast<size_t>(r) * args.input_stride;
    uint16_t* to = args.output + static_cast<size_t>(r) * args.stride;
    format == Format::kBf16 ? ConvertRow<Format::kBf16>(from, args.columns, to, args.low_offset)
                            : ConvertRow<Format::kSplit>(from, args.columns, to, args.low_offset);
  }
}

}  // namespace contexture::kernels::mixed
