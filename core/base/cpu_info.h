#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace contexture {

// Instruction sets that kernels are written for, in ascending order; each includes the ones before.
enum class Isa { kGeneric, kAvx2, kAvx512, kAvx512Vnni, kAvx512Bf16, kAmx };

// "generic", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx".
absl::string_view Name(Isa isa);
// INVALID_ARGUMENT names the allowed values.
absl::StatusOr<Isa> ParseIsa(absl::string_view name);

// The best instruction set that the CPU has, the operating system grants and CONTEXTURE_MAX_ISA
// (one of the names above) allows. Constant in a process; asks the kernel for AMX state at the
// first call. A CONTEXTURE_MAX_ISA that is no such name is ignored with a line on stderr.
Isa DetectIsa();

// The CPUs that this process may really use.
struct CpuGrant {
  int affinity_cpus = 0;    // CPUs in the affinity mask
  double quota_cpus = 0.0;  // cgroup v1 or v2 CFS quota, in CPUs; 0: none
  int cores = 1;            // threads worth running: min of both, rounded down, at least 1
  std::string model_name;   // "Intel(R) Xeon(R) Processor"
};
// Reads the affinity mask, /proc and /sys/fs/cgroup. Never fails: what cannot be read is left out.
CpuGrant DetectCpuGrant();

}  // namespace contexture
