#include "tests/core/kernels/emulation/emulated_kernels.h"

#include "core/kernels/amx_tiles.h"
#include "core/kernels/mixed_functions.h"
#include "tests/core/kernels/emulation/tiles.h"

namespace contexture::kernels::mixed {

namespace emulated_amx {
void GemmActivation(Format format, const GemmArgs& gemm, const ActivationOutput& output);
void GemmFloat(Format format, const GemmArgs& gemm, const FloatOutput& output);
void AttendHeads(const AttentionArgs& args);
}  // namespace emulated_amx
namespace emulated_amx_int8 {
void GemmActivation(Format format, const GemmArgs& gemm, const ActivationOutput& output);
void GemmFloat(Format format, const GemmArgs& gemm, const FloatOutput& output);
}  // namespace emulated_amx_int8

const Kernels* EmulatedAmxKernels(Format format) {
#ifdef CONTEXTURE_HAVE_MIXED
  if (DetectIsa() < Isa::kAvx512Bf16) return nullptr;
  constexpr auto kAcquire = [] {
    const amx::TileConfig config;
    emulation::LoadTileConfig(&config);
  };
  static constexpr Kernels kBfloats = {
      Isa::kAmx, emulated_amx::GemmActivation, emulated_amx::GemmFloat,
      NormRows,  emulated_amx::AttendHeads,    ConvertRows,
      kAcquire,  emulation::ReleaseTiles};
  static constexpr Kernels kBytes = {Isa::kAmx,
                                     emulated_amx_int8::GemmActivation,
                                     emulated_amx_int8::GemmFloat,
                                     vnni::NormRows,
                                     emulated_amx::AttendHeads,
                                     vnni::ConvertRows,
                                     kAcquire,
                                     emulation::ReleaseTiles};
  return format == Format::kInt8 ? &kBytes : &kBfloats;
#else
  static_cast<void>(format);
  return nullptr;
#endif
}

}  // namespace contexture::kernels::mixed
