#include "core/base/cpu_info.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "core/base/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace contexture {
namespace {

constexpr absl::string_view kNames[] = {"generic",     "avx2",        "avx512",
                                        "avx512_vnni", "avx512_bf16", "amx"};

#if defined(__x86_64__)

constexpr bool HasBit(uint32_t word, int bit) { return (word >> bit & 1) != 0; }

uint64_t ReadXcr0() {
  uint32_t low = 0, high = 0;
  // The instruction itself, because the intrinsic needs -mxsave for the whole file.
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Linux gives a process the 8 KB of tile registers only when it asks.
bool RequestTileState() {
  constexpr int kArchRequestXcompPermission = 0x1023;
  constexpr int kXfeatureTileData = 18;
  return syscall(SYS_arch_prctl, kArchRequestXcompPermission, kXfeatureTileData) == 0;
}

CpuFeatures ReadFeatures() {
  CpuFeatures features;
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return features;
  features.fma = HasBit(ecx, 12);
  features.f16c = HasBit(ecx, 29);
  if (HasBit(ecx, 27)) features.xcr0 = ReadXcr0();  // OSXSAVE
  uint32_t last_subleaf = 0;
  if (__get_cpuid_count(7, 0, &last_subleaf, &ebx, &ecx, &edx) == 0) return features;
  features.avx2 = HasBit(ebx, 5);
  features.avx512f = HasBit(ebx, 16);
  features.avx512dq = HasBit(ebx, 17);
  features.avx512bw = HasBit(ebx, 30);
  features.avx512vl = HasBit(ebx, 31);
  features.avx512_vnni = HasBit(ecx, 11);
  features.amx_bf16 = HasBit(edx, 22);
  features.amx_tile = HasBit(edx, 24);
  features.amx_int8 = HasBit(edx, 25);
  if (last_subleaf >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) {
    features.avx512_bf16 = HasBit(eax, 5);
  }
  if (__get_cpuid_count(0x1D, 0, &eax, &ebx, &ecx, &edx) != 0) {
    features.amx_palette_1 = features.amx_tile && eax >= 1;
  }
  return features;
}

Isa DetectHardware(Isa allowed) { return GrantedIsa(ReadFeatures(), allowed, RequestTileState); }

#else

Isa DetectHardware(Isa) { return Isa::kGeneric; }

#endif

// What CONTEXTURE_MAX_ISA says; without it, the best.
Isa AllowedIsa() {
  const char* limit = std::getenv("CONTEXTURE_MAX_ISA");
  if (limit == nullptr || *limit == '\0') return Isa::kAmx;
  const absl::StatusOr<Isa> isa = ParseIsa(limit);
  if (isa.ok()) return *isa;
  std::fprintf(stderr, "CONTEXTURE_MAX_ISA is ignored: %s\n",
               std::string(isa.status().message()).c_str());
  return Isa::kAmx;
}

}  // namespace

absl::string_view Name(Isa isa) { return kNames[static_cast<int>(isa)]; }

absl::StatusOr<Isa> ParseIsa(absl::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (name == kNames[i]) return static_cast<Isa>(i);
  }
  std::string allowed;
  for (absl::string_view known : kNames) {
    absl::StrAppend(&allowed, allowed.empty() ? "" : ", ", known);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("instruction set '", name, "' is not one of: ", allowed));
}

Isa BestIsa(const CpuFeatures& cpu) {
  constexpr uint64_t kAvxState = 0x6;       // XMM, upper YMM
  constexpr uint64_t kZmmState = 0xE6;      // and the opmask and ZMM registers
  constexpr uint64_t kTileState = 0x600E6;  // and the tile configuration and data
  const auto granted = [&cpu](uint64_t state) { return (cpu.xcr0 & state) == state; };

  if (!cpu.avx2 || !cpu.fma || !cpu.f16c || !granted(kAvxState)) return Isa::kGeneric;
  const bool avx512 = cpu.avx512f && cpu.avx512bw && cpu.avx512dq && cpu.avx512vl;
  if (!avx512 || !granted(kZmmState)) return Isa::kAvx2;
  if (!cpu.avx512_vnni) return Isa::kAvx512;
  if (!cpu.avx512_bf16) return Isa::kAvx512Vnni;
  const bool amx =
      cpu.amx_tile && cpu.amx_bf16 && cpu.amx_int8 && cpu.amx_palette_1 && cpu.tile_permission;
  return amx && granted(kTileState) ? Isa::kAmx : Isa::kAvx512Bf16;
}

Isa GrantedIsa(CpuFeatures cpu, Isa allowed, bool (*request_tile_state)()) {
  cpu.tile_permission = allowed >= Isa::kAmx;
  if (BestIsa(cpu) == Isa::kAmx) cpu.tile_permission = request_tile_state();
  return std::min(allowed, BestIsa(cpu));
}

Isa DetectIsa() {
  static const Isa isa = DetectHardware(AllowedIsa());
  return isa;
}

}  // namespace contexture
