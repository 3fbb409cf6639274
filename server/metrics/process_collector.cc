#include "server/metrics/process_collector.h"

#include <dirent.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/cgroup.h"
#include "core/base/text_file.h"
#include "prometheus/metric_family.h"

namespace contexture {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

struct Description {
  const char* name;
  const char* help;
  MetricType type;
};

// Adds a family with one sample unless VALUE is absent.
void Append(const Description& description, std::optional<double> value,
            std::vector<MetricFamily>& families) {
  if (!value) return;
  prometheus::ClientMetric metric;
  if (description.type == MetricType::Counter) {
    metric.counter.value = *value;
  } else {
    metric.gauge.value = *value;
  }
  families.push_back({.name = description.name,
                      .help = description.help,
                      .type = description.type,
                      .metric = {metric}});
}

std::optional<double> Seconds(double ticks) {
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// The number FIELD (from 1, as in proc(5)) of /proc/self/stat. Field 2, the program's name, is in
// parentheses and may hold anything.
std::optional<double> StatField(const std::string& stat, int field) {
  const size_t end_of_name = stat.rfind(')');
  if (end_of_name == std::string::npos) return std::nullopt;
  const std::vector<absl::string_view> fields = absl::StrSplit(
      absl::string_view(stat).substr(end_of_name + 1), absl::ByAnyChar(" \n"), absl::SkipEmpty());
  const size_t index = static_cast<size_t>(field) - 3;
  double value = 0;
  if (index >= fields.size() || !absl::SimpleAtod(fields[index], &value)) return std::nullopt;
  return value;
}

// The number after PREFIX and blanks at the start of a line.
std::optional<double> LineValue(const std::optional<std::string>& text, absl::string_view prefix) {
  if (!text) return std::nullopt;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (!absl::ConsumePrefix(&line, prefix)) continue;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    double value = 0;
    if (!words.empty() && absl::SimpleAtod(words[0], &value)) return value;
  }
  return std::nullopt;
}

std::optional<double> CountFiles(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  if (dir == nullptr) return std::nullopt;
  double count = 0;
  while (const dirent* entry = readdir(dir.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count;
}

class ProcessCollector final : public prometheus::Collectable {
 public:
  explicit ProcessCollector(absl::string_view root)
      : root_(root), cgroup_(Cgroup::Find(root)), boot_time_(LineValue(Read("/stat"), "btime ")) {}

  std::vector<MetricFamily> Collect() const override {
    std::vector<MetricFamily> families;
    CollectStat(families);
    CollectDescriptors(families);
    CollectCgroup(families);
    return families;
  }

 private:
  std::optional<std::string> Read(const char* path) const {
    return ReadTextFile(absl::StrCat(root_, "/proc", path));
  }

  void CollectStat(std::vector<MetricFamily>& families) const {
    constexpr int kUserTicks = 14, kSystemTicks = 15, kThreads = 20, kStartTicks = 22,
                  kVirtual = 23, kPages = 24;
    const std::string stat = Read("/self/stat").value_or("");
    const auto user = StatField(stat, kUserTicks), system = StatField(stat, kSystemTicks);
    const auto start = StatField(stat, kStartTicks), pages = StatField(stat, kPages);
    Append({"process_cpu_seconds_total", "User and system CPU time spent.", MetricType::Counter},
           user && system ? Seconds(*user + *system) : std::nullopt, families);
    Append({"process_threads", "Threads.", MetricType::Gauge}, StatField(stat, kThreads), families);
    Append({"process_start_time_seconds", "Start of the process since the Unix epoch.",
            MetricType::Gauge},
           start && boot_time_ ? std::optional(*boot_time_ + *Seconds(*start)) : std::nullopt,
           families);
    Append({"process_virtual_memory_bytes", "Size of the address space.", MetricType::Gauge},
           StatField(stat, kVirtual), families);
    Append(
        {"process_resident_memory_bytes", "Memory in RAM.", MetricType::Gauge},
        pages ? std::optional(*pages * static_cast<double>(sysconf(_SC_PAGESIZE))) : std::nullopt,
        families);
  }

  void CollectDescriptors(std::vector<MetricFamily>& families) const {
    Append({"process_open_fds", "Open file descriptors.", MetricType::Gauge},
           CountFiles(root_ + "/proc/self/fd"), families);
    Append({"process_max_fds", "Most file descriptors that may be open.", MetricType::Gauge},
           LineValue(Read("/self/limits"), "Max open files "), families);
  }

  void CollectCgroup(std::vector<MetricFamily>& families) const {
    Append({"contexture_cgroup_cpu_quota_cpus",
            "CPUs that the control group may use; absent without a quota.", MetricType::Gauge},
           cgroup_.CpuQuotaCpus(), families);
    Append(
        {"contexture_cgroup_cpu_throttled_seconds_total",
         "Time that the control group was stopped for having used its quota.", MetricType::Counter},
        cgroup_.CpuThrottledSeconds(), families);
    Append({"contexture_cgroup_cpu_periods_total",
            "Periods of the CPU quota in which the control group ran.", MetricType::Counter},
           cgroup_.CpuPeriods(), families);
    Append({"contexture_cgroup_cpu_throttled_periods_total",
            "Periods in which the control group had used its quota.", MetricType::Counter},
           cgroup_.CpuThrottledPeriods(), families);
    Append({"contexture_cgroup_memory_limit_bytes",
            "Memory that the control group may use; absent without a limit.", MetricType::Gauge},
           cgroup_.MemoryLimitBytes(), families);
    Append({"contexture_cgroup_memory_usage_bytes",
            "Memory that the control group uses, page cache included.", MetricType::Gauge},
           cgroup_.MemoryUsageBytes(), families);
    Append({"contexture_cgroup_memory_working_set_bytes",
            "Memory of the control group that cannot be taken back at once.", MetricType::Gauge},
           cgroup_.MemoryWorkingSetBytes(), families);
    Append({"contexture_cgroup_oom_kills_total",
            "Processes of the control group that the kernel ended for want of memory.",
            MetricType::Counter},
           cgroup_.OomKills(), families);
  }

  const std::string root_;
  const Cgroup cgroup_;
  const std::optional<double> boot_time_;  // seconds since the epoch
};

}  // namespace

std::shared_ptr<prometheus::Collectable> NewProcessCollector(absl::string_view root) {
  return std::make_shared<ProcessCollector>(root);
}

}  // namespace contexture
