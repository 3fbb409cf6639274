#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace contexture {

// The control groups, v1 or v2, whose limits hold for this process. A value is absent when there is
// no limit or when the kernel's file cannot be read or understood. Immutable, thread safe; every
// getter reads the files anew.
class Cgroup {
 public:
  // Reads ROOT/proc/self/cgroup and ROOT/proc/self/mountinfo. ROOT is empty except in tests.
  static Cgroup Find(absl::string_view root = "");

  // Smallest CPU quota of the process's group and the groups above it, in CPUs.
  std::optional<double> CpuQuotaCpus() const;
  // Time that tasks of the process's group could not run because its quota was used up.
  std::optional<double> CpuThrottledSeconds() const;
  // Periods of the quota in which tasks ran, and those of them in which the quota was used up.
  std::optional<int64_t> CpuPeriods() const;
  std::optional<int64_t> CpuThrottledPeriods() const;
  // Smallest memory limit of the process's group and the groups above it.
  std::optional<int64_t> MemoryLimitBytes() const;
  std::optional<int64_t> MemoryUsageBytes() const;
  // The part of it that the kernel cannot take back at once: without the page cache that nobody
  // used of late. What the kubelet evicts by.
  std::optional<int64_t> MemoryWorkingSetBytes() const;
  // Processes of the group that the kernel ended for want of memory.
  std::optional<int64_t> OomKills() const;

 private:
  // The directories of one controller: the process's own group first, then the groups above it as
  // far as they are mounted. Empty: the controller is not there.
  struct Hierarchy {
    bool unified = false;  // v2
    std::vector<std::string> directories;
  };

  std::optional<int64_t> CpuStat(absl::string_view key) const;
  static Hierarchy FindHierarchy(absl::string_view root, absl::string_view controller);

  Hierarchy cpu_;
  Hierarchy memory_;
};

}  // namespace contexture
