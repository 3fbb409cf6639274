#include "core/base/cpu_grant.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/cgroup.h"
#include "core/base/text_file.h"

namespace contexture {
namespace {

// CPUs in the affinity mask of this thread, however many the machine has.
int CountAffinityCpus() {
  constexpr size_t kMaxCpus = size_t{1} << 20;
  for (size_t cpus = 1024; cpus <= kMaxCpus; cpus *= 2) {
    std::vector<cpu_set_t> mask(CPU_ALLOC_SIZE(cpus) / sizeof(cpu_set_t) + 1);
    const size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) == 0) return CPU_COUNT_S(bytes, mask.data());
    if (errno != EINVAL) break;  // EINVAL: the mask is larger than ours
  }
  return std::max<int>(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

}  // namespace

std::string ParseModelName(absl::string_view cpuinfo) {
  for (absl::string_view line : absl::StrSplit(cpuinfo, '\n')) {
    if (!absl::ConsumePrefix(&line, "model name")) continue;
    line = absl::StripLeadingAsciiWhitespace(line);
    if (!absl::ConsumePrefix(&line, ":")) continue;
    return std::string(absl::StripAsciiWhitespace(line));
  }
  return "";
}

int GrantedCores(int affinity_cpus, double quota_cpus) {
  double cores = affinity_cpus;
  if (quota_cpus > 0) cores = std::min(cores, quota_cpus);
  return std::max(1, static_cast<int>(cores));
}

CpuGrant DetectCpuGrant() {
  CpuGrant grant;
  grant.affinity_cpus = CountAffinityCpus();
  grant.quota_cpus = Cgroup::Find().CpuQuotaCpus().value_or(0.0);
  grant.cores = GrantedCores(grant.affinity_cpus, grant.quota_cpus);
  grant.model_name = ParseModelName(ReadTextFile("/proc/cpuinfo").value_or(""));
  return grant;
}

}  // namespace contexture
