#include "core/kernels/amx_gemm.h"
#include "core/kernels/amx_kernels.h"

namespace contexture::kernels::amx {

size_t AttentionScratchBytes(int length, int head_size) {
  const size_t pairs = (length + 31) / 32;  // of key tiles
  const size_t keys = pairs * 2 * (head_size / 32) * 1024;
  const size_t values = 3 * pairs * 2 * (head_size / 32) * 1024;
  const size_t scores = 2 * pairs * 2 * 1024, weights = 2 * pairs * 1024;
  return keys + values + scores + weights + 16 * head_size * sizeof(float) + 512;
}

const Kernels* GetKernels() {
#ifdef CONTEXTURE_HAVE_AMX
  static constexpr Kernels kKernels = {GemmActivation, GemmFloat,    NormRows,    AttendHeads,
                                       ConvertRows,    AcquireTiles, ReleaseTiles};
  if (DetectIsa() == Isa::kAmx) return &kKernels;
#endif
  return nullptr;
}

}  // namespace contexture::kernels::amx
