#pragma once

#include "core/kernels/mixed_kernels.h"

namespace contexture::kernels::mixed {

// The kernels of Isa::kAmx with their tile instructions emulated: the same sources, and the same
// table but for that. Needs AVX-512 BF16; null: it is not granted.
const Kernels* EmulatedAmxKernels(Format format);

}  // namespace contexture::kernels::mixed
