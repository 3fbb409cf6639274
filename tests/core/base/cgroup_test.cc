#include "core/base/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::TemporaryDirectory;
using ::testing::DoubleEq;
using ::testing::Optional;

constexpr char kV2Mount[] =
    "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr char kV1Mounts[] =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

// A root directory with the files of /proc and /sys that a test gives.
class CgroupTest : public testing::Test {
 protected:
  void Write(absl::string_view path, absl::string_view contents) {
    EXPECT_THAT(test_support::WriteFile(absl::StrCat(root_.path(), path), contents), IsOk());
  }
  void WriteProc(absl::string_view cgroup, absl::string_view mountinfo) {
    Write("/proc/self/cgroup", cgroup);
    Write("/proc/self/mountinfo", mountinfo);
  }
  Cgroup Find() const { return Cgroup::Find(root_.path()); }

 private:
  const TemporaryDirectory root_;
};

TEST_F(CgroupTest, ReadsVersion2) {
  WriteProc("0::/service\n", kV2Mount);
  Write("/sys/fs/cgroup/service/cpu.max", "150000 100000\n");
  Write("/sys/fs/cgroup/service/cpu.stat",
        "usage_usec 9\nnr_periods 8\nnr_throttled 3\nthrottled_usec 2500000\n");
  Write("/sys/fs/cgroup/service/memory.max", "1073741824\n");
  Write("/sys/fs/cgroup/service/memory.current", "4096\n");
  Write("/sys/fs/cgroup/service/memory.stat", "anon 7\ninactive_anon 5\ninactive_file 1000\n");
  Write("/sys/fs/cgroup/service/memory.events", "low 0\noom 3\noom_kill 2\n");
  const Cgroup cgroup = Find();
  EXPECT_THAT(cgroup.CpuQuotaCpus(), Optional(DoubleEq(1.5)));
  EXPECT_THAT(cgroup.CpuThrottledSeconds(), Optional(DoubleEq(2.5)));
  EXPECT_THAT(cgroup.MemoryLimitBytes(), Optional(1073741824));
  EXPECT_THAT(cgroup.MemoryUsageBytes(), Optional(4096));
  EXPECT_THAT(cgroup.MemoryWorkingSetBytes(), Optional(3096));
  EXPECT_THAT(cgroup.CpuPeriods(), Optional(8));
  EXPECT_THAT(cgroup.CpuThrottledPeriods(), Optional(3));
  EXPECT_THAT(cgroup.OomKills(), Optional(2));
}

TEST_F(CgroupTest, ReadsVersion1) {
  WriteProc("5:memory:/job\n4:cpu,cpuacct:/job\n0::/\n", kV1Mounts);
  Write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "50000\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.stat", "nr_periods 1\nthrottled_time 3000000000\n");
  Write("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2048\n");
  Write("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1024\n");
  Write("/sys/fs/cgroup/memory/job/memory.stat", "inactive_file 9\ntotal_inactive_file 1000\n");
  Write("/sys/fs/cgroup/memory/job/memory.oom_control", "oom_kill_disable 0\noom_kill 1\n");
  const Cgroup cgroup = Find();
  EXPECT_THAT(cgroup.CpuQuotaCpus(), Optional(DoubleEq(0.5)));
  EXPECT_THAT(cgroup.CpuThrottledSeconds(), Optional(DoubleEq(3.0)));
  EXPECT_THAT(cgroup.MemoryLimitBytes(), Optional(2048));
  EXPECT_THAT(cgroup.MemoryUsageBytes(), Optional(1024));
  EXPECT_THAT(cgroup.MemoryWorkingSetBytes(), Optional(24));
  EXPECT_THAT(cgroup.CpuPeriods(), Optional(1));
  EXPECT_THAT(cgroup.OomKills(), Optional(1));
}

TEST_F(CgroupTest, SmallestLimitOfAllParentsHolds) {
  WriteProc("0::/a/b/c\n", kV2Mount);
  Write("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
  Write("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  Write("/sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n");
  Write("/sys/fs/cgroup/a/memory.max", "5000\n");
  Write("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
  EXPECT_THAT(Find().CpuQuotaCpus(), Optional(DoubleEq(2.0)));
  EXPECT_THAT(Find().MemoryLimitBytes(), Optional(5000));
}

TEST_F(CgroupTest, NoLimitIsAbsent) {
  WriteProc("5:memory:/\n4:cpu,cpuacct:/\n", kV1Mounts);
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  Write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Find().CpuQuotaCpus(), std::nullopt);
  EXPECT_EQ(Find().MemoryLimitBytes(), std::nullopt);
  EXPECT_EQ(Find().MemoryUsageBytes(), std::nullopt);
  EXPECT_EQ(Find().CpuThrottledSeconds(), std::nullopt);
}

// Docker without a cgroup namespace: /proc names the host's path, the mount point shows that group.
TEST_F(CgroupTest, MountPointStandsForTheGroupItShows) {
  WriteProc("4:cpu,cpuacct:/docker/0123/job\n",
            "32 31 0:29 /docker/0123 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n");
  Write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
  Write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  Write("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "100000\n");
  Write("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_THAT(Find().CpuQuotaCpus(), Optional(DoubleEq(1.0)));
}

TEST_F(CgroupTest, PathOfTheHostFallsBackToTheMountPoint) {
  WriteProc("0::/../../kubepods/pod7\n", kV2Mount);
  Write("/sys/fs/cgroup/cpu.max", "100000 50000\n");
  EXPECT_THAT(Find().CpuQuotaCpus(), Optional(DoubleEq(2.0)));
}

TEST_F(CgroupTest, ControllerOfVersion1IsNotLookedForInVersion2) {
  WriteProc("4:cpu,cpuacct:/\n0::/\n", kV1Mounts);
  Write("/sys/fs/cgroup/unified/cpu.max", "100000 100000\n");
  Write("/sys/fs/cgroup/unified/memory.max", "4096\n");
  EXPECT_EQ(Find().CpuQuotaCpus(), std::nullopt);
  EXPECT_THAT(Find().MemoryLimitBytes(), Optional(4096));
}

TEST_F(CgroupTest, BrokenFilesAreAbsent) {
  for (const char* text : {"", "\n", "max", "100000", "x y", "100000 0", "-5 100000", "1 2 3",
                           "99999999999999999999999 100000"}) {
    WriteProc("0::/\n", kV2Mount);
    Write("/sys/fs/cgroup/cpu.max", text);
    Write("/sys/fs/cgroup/memory.max", "12 monkeys");
    EXPECT_EQ(Find().CpuQuotaCpus(), std::nullopt) << text;
    EXPECT_EQ(Find().MemoryLimitBytes(), std::nullopt);
  }
}

TEST_F(CgroupTest, BrokenProcFilesAreNoLimit) {
  EXPECT_EQ(Find().CpuQuotaCpus(), std::nullopt) << "no /proc at all";
  WriteProc("::\n4:cpu\n\n:::::\n", "1 2 3\n - \n29 23 0:26 - cgroup2\n");
  EXPECT_EQ(Find().CpuQuotaCpus(), std::nullopt);
  EXPECT_EQ(Find().MemoryUsageBytes(), std::nullopt);
}

}  // namespace
}  // namespace contexture
