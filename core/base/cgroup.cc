#include "core/base/cgroup.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/text_file.h"

namespace contexture {
namespace {

// v1 has no word for "no limit": it reports the largest multiple of the page size below 2^63.
constexpr int64_t kNoMemoryLimit = int64_t{1} << 60;

// The group of this process in the hierarchy of one controller: a line of /proc/self/cgroup.
struct Membership {
  bool unified = false;
  std::string path;  // "/", "/docker/0123"
};

// A controller that a v1 line names is not in v2's hierarchy, whatever else is mounted.
std::optional<Membership> FindMembership(absl::string_view proc_cgroup,
                                         absl::string_view controller) {
  std::optional<Membership> unified;
  for (absl::string_view line : absl::StrSplit(proc_cgroup, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    if (fields[0] == "0" && fields[1].empty()) {
      unified = Membership{.unified = true, .path = std::string(fields[2])};
      continue;
    }
    const std::vector<absl::string_view> controllers = absl::StrSplit(fields[1], ',');
    if (std::find(controllers.begin(), controllers.end(), controller) != controllers.end()) {
      return Membership{.unified = false, .path = std::string(fields[2])};
    }
  }
  return unified;
}

// Where a hierarchy is mounted: a line of /proc/self/mountinfo.
struct Mount {
  std::string group;  // the group that the mount point shows, "/" outside containers
  std::string point;  // "/sys/fs/cgroup/cpu"
};

std::optional<Mount> ParseMount(absl::string_view line, absl::string_view controller,
                                bool unified) {
  const std::vector<absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
  if (halves.size() != 2) return std::nullopt;
  const std::vector<absl::string_view> before = absl::StrSplit(halves[0], ' ');
  const std::vector<absl::string_view> after = absl::StrSplit(halves[1], ' ');
  if (before.size() < 5 || after.size() < 3) return std::nullopt;
  if (after[0] != (unified ? "cgroup2" : "cgroup")) return std::nullopt;
  const std::vector<absl::string_view> options = absl::StrSplit(after[2], ',');
  if (!unified && std::find(options.begin(), options.end(), controller) == options.end()) {
    return std::nullopt;
  }
  return Mount{.group = std::string(before[3]), .point = std::string(before[4])};
}

std::optional<Mount> FindMount(absl::string_view mountinfo, absl::string_view controller,
                               bool unified) {
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    if (auto mount = ParseMount(line, controller, unified)) return mount;
  }
  return std::nullopt;
}

std::optional<int64_t> ReadInteger(const std::string& path) {
  const std::optional<std::string> text = ReadTextFile(path);
  int64_t value = 0;
  if (!text || !absl::SimpleAtoi(*text, &value)) return std::nullopt;
  return value;
}

// The value of `KEY VALUE` in a file of such lines.
std::optional<int64_t> ReadKey(const std::string& path, absl::string_view key) {
  const std::optional<std::string> text = ReadTextFile(path);
  if (!text) return std::nullopt;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    int64_t value = 0;
    if (absl::ConsumePrefix(&line, key) && absl::ConsumePrefix(&line, " ") &&
        absl::SimpleAtoi(line, &value)) {
      return value;
    }
  }
  return std::nullopt;
}

std::optional<double> Quotient(int64_t quota, int64_t period) {
  if (quota <= 0 || period <= 0) return std::nullopt;  // v1 says -1 for "no quota"
  return static_cast<double>(quota) / static_cast<double>(period);
}

std::optional<double> ReadCpuQuota(const std::string& directory, bool unified) {
  if (!unified) {
    return Quotient(ReadInteger(directory + "/cpu.cfs_quota_us").value_or(-1),
                    ReadInteger(directory + "/cpu.cfs_period_us").value_or(0));
  }
  const std::optional<std::string> text = ReadTextFile(directory + "/cpu.max");
  if (!text) return std::nullopt;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::StripAsciiWhitespace(*text), ' ');
  int64_t quota = 0, period = 0;
  if (fields.size() != 2 || !absl::SimpleAtoi(fields[0], &quota) ||  // "max": no quota
      !absl::SimpleAtoi(fields[1], &period)) {
    return std::nullopt;
  }
  return Quotient(quota, period);
}

std::optional<int64_t> ReadMemoryLimit(const std::string& directory, bool unified) {
  const std::optional<int64_t> limit =
      ReadInteger(directory + (unified ? "/memory.max" : "/memory.limit_in_bytes"));
  if (!limit || *limit < 0 || *limit >= kNoMemoryLimit) return std::nullopt;
  return limit;
}

template <typename T>
std::optional<T> Smaller(std::optional<T> a, std::optional<T> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

bool IsDirectory(const std::string& path) { return access((path + "/.").c_str(), F_OK) == 0; }

}  // namespace

Cgroup::Hierarchy Cgroup::FindHierarchy(absl::string_view root, absl::string_view controller) {
  const auto groups = ReadTextFile(absl::StrCat(root, "/proc/self/cgroup"));
  const auto mountinfo = ReadTextFile(absl::StrCat(root, "/proc/self/mountinfo"));
  if (!groups || !mountinfo) return {};
  const std::optional<Membership> membership = FindMembership(*groups, controller);
  if (!membership) return {};
  const std::optional<Mount> mount = FindMount(*mountinfo, controller, membership->unified);
  if (!mount) return {};

  absl::string_view path = membership->path;
  if (mount->group != "/") absl::ConsumePrefix(&path, mount->group);
  // In a container the path may be the host's and not exist here; the mount point then shows the
  // process's own group.
  Hierarchy hierarchy{.unified = membership->unified, .directories = {}};
  while (true) {
    while (absl::ConsumeSuffix(&path, "/")) {
    }
    std::string directory = absl::StrCat(root, mount->point, path);
    if (IsDirectory(directory)) hierarchy.directories.push_back(std::move(directory));
    if (path.empty()) return hierarchy;
    const size_t slash = path.rfind('/');
    path = slash == absl::string_view::npos ? absl::string_view() : path.substr(0, slash);
  }
}

Cgroup Cgroup::Find(absl::string_view root) {
  Cgroup cgroup;
  cgroup.cpu_ = FindHierarchy(root, "cpu");
  cgroup.memory_ = FindHierarchy(root, "memory");
  return cgroup;
}

std::optional<double> Cgroup::CpuQuotaCpus() const {
  std::optional<double> quota;
  for (const std::string& directory : cpu_.directories) {
    quota = Smaller(quota, ReadCpuQuota(directory, cpu_.unified));
  }
  return quota;
}

std::optional<int64_t> Cgroup::CpuStat(absl::string_view key) const {
  if (cpu_.directories.empty()) return std::nullopt;
  return ReadKey(cpu_.directories.front() + "/cpu.stat", key);
}

std::optional<double> Cgroup::CpuThrottledSeconds() const {
  const auto throttled = CpuStat(cpu_.unified ? "throttled_usec" : "throttled_time");
  if (!throttled) return std::nullopt;
  return static_cast<double>(*throttled) * (cpu_.unified ? 1e-6 : 1e-9);
}

std::optional<int64_t> Cgroup::CpuPeriods() const { return CpuStat("nr_periods"); }

std::optional<int64_t> Cgroup::CpuThrottledPeriods() const { return CpuStat("nr_throttled"); }

std::optional<int64_t> Cgroup::MemoryLimitBytes() const {
  std::optional<int64_t> limit;
  for (const std::string& directory : memory_.directories) {
    limit = Smaller(limit, ReadMemoryLimit(directory, memory_.unified));
  }
  return limit;
}

std::optional<int64_t> Cgroup::MemoryUsageBytes() const {
  if (memory_.directories.empty()) return std::nullopt;
  return ReadInteger(memory_.directories.front() +
                     (memory_.unified ? "/memory.current" : "/memory.usage_in_bytes"));
}

std::optional<int64_t> Cgroup::MemoryWorkingSetBytes() const {
  const std::optional<int64_t> usage = MemoryUsageBytes();
  if (!usage) return std::nullopt;
  const auto inactive = ReadKey(memory_.directories.front() + "/memory.stat",
                                memory_.unified ? "inactive_file" : "total_inactive_file");
  if (!inactive) return std::nullopt;
  return std::max<int64_t>(0, *usage - *inactive);
}

std::optional<int64_t> Cgroup::OomKills() const {
  if (memory_.directories.empty()) return std::nullopt;
  return ReadKey(
      memory_.directories.front() + (memory_.unified ? "/memory.events" : "/memory.oom_control"),
      "oom_kill");
}

}  // namespace contexture
