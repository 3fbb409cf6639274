#include <immintrin.h>

#include <cstdint>
#include <type_traits>

#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_simd.h"

#define CTX_MIXED_ISA vnni
#include "core/kernels/int8_rows_inl.h"
#include "core/kernels/norm_rows_inl.h"

namespace contexture::kernels::mixed::vnni {

void NormRows(Format /*format*/, const NormArgs& args) {
  ForEachNormGroup(args, [&](const auto& group, auto rows) {
    group.Finish([](int, int, Vector) {});
    if (args.activations == nullptr) return;
    for (int r = 0; r < rows; ++r) {
      QuantizeRow(group.output(r),
                  {group.activations(r), args.low_offset, args.norm.size, args.factors});
    }
  });
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
