#include "core/kernels/vector_kernels.h"

namespace contexture::kernels {

extern const VectorKernels kVectorKernelsGeneric;
#ifdef __x86_64__
extern const VectorKernels kVectorKernelsAvx2;
extern const VectorKernels kVectorKernelsAvx512;
#endif

const VectorKernels& GetVectorKernels(Isa isa) {
#ifdef __x86_64__
  if (isa >= Isa::kAvx512) return kVectorKernelsAvx512;
  if (isa >= Isa::kAvx2) return kVectorKernelsAvx2;
#endif
  (void)isa;
  return kVectorKernelsGeneric;
}

size_t AttentionScratchFloats(int key_length, int head_size, int relative_rows) {
  constexpr size_t kMaxLanes = 16;
  constexpr size_t kMaxTileRows = 8;
  const size_t keys = (key_length + kMaxLanes * 3 - 1) / (kMaxLanes * 3) * (kMaxLanes * 3);
  const size_t head = (head_size + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
  // Transposed keys, a block of score rows, copies of the values where head_size has a tail.
  const size_t plain = keys * head + keys * kMaxTileRows + keys * head;
  if (relative_rows == 0) return plain;
  const size_t rows = (relative_rows + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
  return plain + kRelativeTile * keys + kMaxTileRows * rows + rows * kRelativeTile;
}

}  // namespace contexture::kernels
