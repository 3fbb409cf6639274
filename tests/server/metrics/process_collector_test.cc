#include "server/metrics/process_collector.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <map>

#include "absl/strings/str_cat.h"
#include "prometheus/metric_family.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using test_support::IsOk;
using test_support::TemporaryDirectory;
using ::testing::DoubleEq;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

std::map<std::string, double> Collect(absl::string_view root = "") {
  std::map<std::string, double> values;
  for (const MetricFamily& family : NewProcessCollector(root)->Collect()) {
    EXPECT_FALSE(family.help.empty()) << family.name;
    EXPECT_EQ(family.metric.size(), 1u) << family.name;
    values[family.name] = family.type == MetricType::Counter ? family.metric[0].counter.value
                                                             : family.metric[0].gauge.value;
  }
  return values;
}

TEST(ProcessCollectorTest, CpuTimeIsTheProcesss) {
  const double before = Collect().at("process_cpu_seconds_total");
  volatile double sink = 0;
  while (clock() < CLOCKS_PER_SEC / 5 + static_cast<clock_t>(before * CLOCKS_PER_SEC))
    sink = sink + 1;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const double expected =
      static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
      1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  EXPECT_NEAR(Collect().at("process_cpu_seconds_total"), expected, 0.05);
  EXPECT_GT(expected, before);
}

TEST(ProcessCollectorTest, OpenFilesAreCounted) {
  const double before = Collect().at("process_open_fds");
  const int files[] = {open("/dev/null", O_RDONLY), open("/dev/null", O_RDONLY)};
  EXPECT_EQ(Collect().at("process_open_fds"), before + 2);
  for (int file : files) close(file);
  EXPECT_EQ(Collect().at("process_open_fds"), before);
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur != RLIM_INFINITY) {
    EXPECT_EQ(Collect().at("process_max_fds"), static_cast<double>(limit.rlim_cur));
  }
}

TEST(ProcessCollectorTest, MemoryGrowsWhenItIsUsed) {
  constexpr size_t kBytes = size_t{64} << 20;
  const auto before = Collect();
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const auto mapped = Collect();
  std::memset(memory, 1, kBytes);
  const auto touched = Collect();
  munmap(memory, kBytes);
  EXPECT_GE(mapped.at("process_virtual_memory_bytes"),
            before.at("process_virtual_memory_bytes") + kBytes);
  // The kernel counts resident pages in steps.
  EXPECT_GE(touched.at("process_resident_memory_bytes"),
            before.at("process_resident_memory_bytes") + 0.9 * kBytes);
}

TEST(ProcessCollectorTest, StartIsInThePastOfThisMachinesClock) {
  const double start = Collect().at("process_start_time_seconds");
  const auto now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(start, now + 2);
  EXPECT_GE(start, now - 24 * 3600);
}

// A root directory with the files of /proc that a test gives.
class ProcessCollectorFilesTest : public testing::Test {
 protected:
  void Write(absl::string_view path, absl::string_view contents) {
    EXPECT_THAT(test_support::WriteFile(absl::StrCat(root_.path(), path), contents), IsOk());
  }
  std::map<std::string, double> CollectRoot() { return Collect(root_.path()); }

 private:
  const TemporaryDirectory root_;
};

TEST_F(ProcessCollectorFilesTest, NothingIsReportedWhenNothingCanBeRead) {
  EXPECT_THAT(CollectRoot(), IsEmpty());
}

TEST_F(ProcessCollectorFilesTest, FieldsAreThoseOfProc) {
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  // A name that looks like the fields after it.
  Write("/proc/self/stat",
        "42 (a) R 1 (b) S 1 42 42 0 -1 4194304 10 0 0 0 700 50 3 4 20 0 9 0 12300 8192 25 1 1\n");
  Write("/proc/stat", "cpu  1 2 3\nbtime 1700000000\nprocesses 9\n");
  Write("/proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max open files            1024                 524288               files     \n");
  Write("/proc/self/fd/0", "");
  Write("/proc/self/fd/17", "");
  EXPECT_THAT(CollectRoot(),
              UnorderedElementsAre(
                  Pair("process_cpu_seconds_total", DoubleEq(750 / ticks)),
                  Pair("process_start_time_seconds", DoubleEq(1700000000 + 12300 / ticks)),
                  Pair("process_virtual_memory_bytes", 8192),
                  Pair("process_resident_memory_bytes", 25 * page), Pair("process_threads", 9),
                  Pair("process_open_fds", 2), Pair("process_max_fds", 1024)));
}

TEST_F(ProcessCollectorFilesTest, CgroupLimitsAreReported) {
  Write("/proc/self/cgroup", "0::/job\n");
  Write("/proc/self/mountinfo", "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  Write("/sys/fs/cgroup/job/cpu.max", "250000 100000\n");
  Write("/sys/fs/cgroup/job/cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_usec 1500000\n");
  Write("/sys/fs/cgroup/job/memory.stat", "inactive_file 24\n");
  Write("/sys/fs/cgroup/job/memory.events", "oom_kill 1\n");
  Write("/sys/fs/cgroup/job/memory.max", "4096\n");
  Write("/sys/fs/cgroup/job/memory.current", "1024\n");
  EXPECT_THAT(CollectRoot(),
              UnorderedElementsAre(Pair("contexture_cgroup_cpu_quota_cpus", 2.5),
                                   Pair("contexture_cgroup_cpu_throttled_seconds_total", 1.5),
                                   Pair("contexture_cgroup_cpu_periods_total", 9),
                                   Pair("contexture_cgroup_cpu_throttled_periods_total", 4),
                                   Pair("contexture_cgroup_memory_limit_bytes", 4096),
                                   Pair("contexture_cgroup_memory_usage_bytes", 1024),
                                   Pair("contexture_cgroup_memory_working_set_bytes", 1000),
                                   Pair("contexture_cgroup_oom_kills_total", 1)));
}

TEST_F(ProcessCollectorFilesTest, BrokenFilesAreAbsent) {
  Write("/proc/self/stat", "42 (a) R 1 2");
  Write("/proc/stat", "btime soon\n");
  Write("/proc/self/limits", "Max open files            unlimited\n");
  EXPECT_THAT(CollectRoot(), IsEmpty());
}

}  // namespace
}  // namespace contexture
