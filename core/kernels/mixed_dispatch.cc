#include "core/kernels/mixed_functions.h"
#include "core/kernels/mixed_kernels.h"

namespace contexture::kernels::mixed {

size_t AttentionScratchBytes(int length, int head_size) {
  const size_t pairs = (length + 31) / 32;  // of key tiles
  const size_t keys = pairs * 2 * (head_size / 32) * 1024;
  const size_t values = 3 * pairs * 2 * (head_size / 32) * 1024;
  const size_t scores = 2 * pairs * 2 * 1024, weights = 2 * pairs * 1024;
  return keys + values + scores + weights + 16 * head_size * sizeof(float) + 512;
}

const Kernels* GetKernels(Format format, Isa isa) {
#ifdef CONTEXTURE_HAVE_MIXED
  static constexpr Kernels kAmx = {Isa::kAmx,         amx::GemmActivation, amx::GemmFloat,
                                   NormRows,          amx::AttendHeads,    ConvertRows,
                                   amx::AcquireTiles, amx::ReleaseTiles};
  static constexpr Kernels kAvx512 = {Isa::kAvx512Bf16,
                                      avx512::GemmActivation,
                                      avx512::GemmFloat,
                                      NormRows,
                                      avx512::AttendHeads,
                                      ConvertRows,
                                      [] {},
                                      [] {}};
  static constexpr Kernels kInt8 = {
      Isa::kAvx512Bf16,    vnni::GemmActivation, vnni::GemmFloat, vnni::NormRows,
      avx512::AttendHeads, vnni::ConvertRows,    [] {},           [] {}};
  static constexpr Kernels kInt8Amx = {
      Isa::kAmx,        amx_int8::GemmActivation, amx_int8::GemmFloat, vnni::NormRows,
      amx::AttendHeads, vnni::ConvertRows,        amx::AcquireTiles,   amx::ReleaseTiles};
  static constexpr Kernels kInt8WithoutBf16 = {
      Isa::kAvx512Vnni, vnni::GemmActivation, vnni::GemmFloat, vnni::NormRows,
      nullptr,          vnni::ConvertRows,    [] {},           [] {}};
  if (format == Format::kInt8) {
    if (isa >= Isa::kAmx) return &kInt8Amx;
    if (isa >= Isa::kAvx512Bf16) return &kInt8;
    return isa >= Isa::kAvx512Vnni ? &kInt8WithoutBf16 : nullptr;
  }
  if (isa >= Isa::kAmx) return &kAmx;
  if (isa >= Isa::kAvx512Bf16 && format == Format::kBf16) return &kAvx512;
#endif
  return nullptr;
}

}  // namespace contexture::kernels::mixed
