#include "tests/core/kernels/emulation/emulate_tiles.h"
// The very source.
#include "core/kernels/amx_attention.cc"  // NOLINT(bugprone-suspicious-include)
