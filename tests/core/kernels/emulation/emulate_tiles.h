#pragma once

// Included before a kernel's source: its tile intrinsics become calls of the emulation, and its
// namespaces others, so that it can be compiled beside the real ones. What it calls outside those
// namespaces is the real thing.

#include <immintrin.h>

#include "tests/core/kernels/emulation/tiles.h"

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbusd
#undef _tile_dpbf16ps
#define _tile_loadd(tile, base, stride) ::contexture::emulation::LoadTile(tile, base, stride)
#define _tile_stored(tile, base, stride) ::contexture::emulation::StoreTile(tile, base, stride)
#define _tile_zero(tile) ::contexture::emulation::ZeroTile(tile)
#define _tile_dpbusd(sums, left, right) ::contexture::emulation::DotBytes(sums, left, right)
#define _tile_dpbf16ps(sums, left, right) ::contexture::emulation::DotBfloats(sums, left, right)

#define amx emulated_amx
#define amx_int8 emulated_amx_int8
