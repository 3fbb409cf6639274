#include "tests/core/kernels/emulation/emulate_tiles.h"
// The very source.
#include "core/kernels/amx_int8_gemm.cc"  // NOLINT(bugprone-suspicious-include)
