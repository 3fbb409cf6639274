#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "core/base/cpu_info.h"

namespace contexture {

// The pure parts of DetectCpuGrant. Internal to cpu_grant.cc and its test.

// The first "model name" of /proc/cpuinfo; empty when there is none.
std::string ParseModelName(absl::string_view cpuinfo);

// Threads worth running; QUOTA_CPUS of 0: no quota.
int GrantedCores(int affinity_cpus, double quota_cpus);

}  // namespace contexture
