#pragma once

#include <cstdint>

#include "core/base/cpu_info.h"

namespace contexture {

// What CPUID, XGETBV and the kernel say, as far as an Isa depends on it. Internal to cpu_info.cc
// and its test.
struct CpuFeatures {
  uint64_t xcr0 = 0;  // register state that the operating system saves
  bool avx2 = false, fma = false, f16c = false;
  bool avx512f = false, avx512bw = false, avx512dq = false, avx512vl = false;
  bool avx512_vnni = false, avx512_bf16 = false;
  bool amx_tile = false, amx_bf16 = false, amx_int8 = false, amx_palette_1 = false;
  bool tile_permission = false;  // the kernel granted the tile data to this process
};

// The best instruction set; each needs all features of those before it.
Isa BestIsa(const CpuFeatures& cpu);

// The best instruction set up to `allowed` with the permission that `request_tile_state` obtains,
// whatever cpu.tile_permission says. It is called only when a yes makes it AMX: once granted, each
// signal of the process carries the tiles' 8 KB.
Isa GrantedIsa(CpuFeatures cpu, Isa allowed, bool (*request_tile_state)());

}  // namespace contexture
