#include "core/base/cpu_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <functional>
#include <thread>

#include "absl/strings/match.h"
#include "core/base/cpu_features.h"
#include "core/base/cpu_grant.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::StatusIs;
using ::testing::HasSubstr;

constexpr uint64_t kAllState = 0x600E7;

CpuFeatures AllFeatures() {
  return {.xcr0 = kAllState,
          .avx2 = true,
          .fma = true,
          .f16c = true,
          .avx512f = true,
          .avx512bw = true,
          .avx512dq = true,
          .avx512vl = true,
          .avx512_vnni = true,
          .avx512_bf16 = true,
          .amx_tile = true,
          .amx_bf16 = true,
          .amx_int8 = true,
          .amx_palette_1 = true,
          .tile_permission = true};
}

struct MissingCase {
  const char* what;
  std::function<void(CpuFeatures&)> remove;
  Isa expected;
};

TEST(BestIsaTest, EachMissingFeatureLowersTheInstructionSet) {
  const MissingCase cases[] = {
      {"nothing", [](CpuFeatures&) {}, Isa::kAmx},
      {"permission", [](CpuFeatures& f) { f.tile_permission = false; }, Isa::kAvx512Bf16},
      {"palette", [](CpuFeatures& f) { f.amx_palette_1 = false; }, Isa::kAvx512Bf16},
      {"amx_bf16", [](CpuFeatures& f) { f.amx_bf16 = false; }, Isa::kAvx512Bf16},
      {"amx_int8", [](CpuFeatures& f) { f.amx_int8 = false; }, Isa::kAvx512Bf16},
      {"amx_tile", [](CpuFeatures& f) { f.amx_tile = false; }, Isa::kAvx512Bf16},
      {"tile data state", [](CpuFeatures& f) { f.xcr0 = 0x200E7; }, Isa::kAvx512Bf16},
      {"avx512_bf16", [](CpuFeatures& f) { f.avx512_bf16 = false; }, Isa::kAvx512Vnni},
      {"vnni", [](CpuFeatures& f) { f.avx512_vnni = false; }, Isa::kAvx512},
      {"vl", [](CpuFeatures& f) { f.avx512vl = false; }, Isa::kAvx2},
      {"dq", [](CpuFeatures& f) { f.avx512dq = false; }, Isa::kAvx2},
      {"bw", [](CpuFeatures& f) { f.avx512bw = false; }, Isa::kAvx2},
      {"f", [](CpuFeatures& f) { f.avx512f = false; }, Isa::kAvx2},
      {"ZMM state", [](CpuFeatures& f) { f.xcr0 = 0x7; }, Isa::kAvx2},
      {"fma", [](CpuFeatures& f) { f.fma = false; }, Isa::kGeneric},
      {"f16c", [](CpuFeatures& f) { f.f16c = false; }, Isa::kGeneric},
      {"avx2", [](CpuFeatures& f) { f.avx2 = false; }, Isa::kGeneric},
      {"YMM state", [](CpuFeatures& f) { f.xcr0 = 0x3; }, Isa::kGeneric},
      {"XGETBV", [](CpuFeatures& f) { f.xcr0 = 0; }, Isa::kGeneric},
  };
  for (const MissingCase& missing : cases) {
    CpuFeatures features = AllFeatures();
    missing.remove(features);
    EXPECT_EQ(Name(BestIsa(features)), Name(missing.expected)) << "without " << missing.what;
  }
}

bool RefuseTiles() { return false; }
bool GrantTiles() { return true; }
bool MustNotBeAsked() {
  ADD_FAILURE() << "tile state is asked for in vain";
  return true;
}

// A virtual machine may advertise AMX and its kernel refuse the tiles.
TEST(GrantedIsaTest, RefusedTilesFallBackToTheInstructionSetBelow) {
  CpuFeatures features = AllFeatures();
  EXPECT_EQ(Name(GrantedIsa(features, Isa::kAmx, RefuseTiles)), "avx512_bf16");
  features.tile_permission = false;
  EXPECT_EQ(Name(GrantedIsa(features, Isa::kAmx, GrantTiles)), "amx");
}

TEST(GrantedIsaTest, AsksForTilesOnlyWhenTheyAreToBeUsed) {
  for (Isa allowed :
       {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAvx512Bf16}) {
    EXPECT_EQ(Name(GrantedIsa(AllFeatures(), allowed, MustNotBeAsked)), Name(allowed));
  }
  CpuFeatures features = AllFeatures();
  features.amx_int8 = false;
  EXPECT_EQ(Name(GrantedIsa(features, Isa::kAmx, MustNotBeAsked)), "avx512_bf16");
}

TEST(ParseIsaTest, ReadsWhatNameWrites) {
  for (Isa isa :
       {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAvx512Bf16, Isa::kAmx}) {
    EXPECT_EQ(ParseIsa(Name(isa)).value(), isa) << Name(isa);
  }
}

TEST(ParseIsaTest, NamesTheAllowedValues) {
  EXPECT_THAT(ParseIsa("sse2"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(HasSubstr("'sse2'"), HasSubstr("generic, avx2, avx512, "
                                                                     "avx512_vnni, avx512_bf16, "
                                                                     "amx"))));
}

TEST(DetectIsaTest, AgreesWithTheCompilersOwnDetection) {
  if (std::getenv("CONTEXTURE_MAX_ISA") != nullptr) GTEST_SKIP() << "CONTEXTURE_MAX_ISA is set";
#if defined(__x86_64__)
  EXPECT_EQ(DetectIsa() >= Isa::kAvx2,
            __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_EQ(DetectIsa() >= Isa::kAvx512, __builtin_cpu_supports("avx512f") &&
                                             __builtin_cpu_supports("avx512bw") &&
                                             __builtin_cpu_supports("avx512vl"));
#else
  EXPECT_EQ(DetectIsa(), Isa::kGeneric);
#endif
}

// Detection is constant in a process, so the limit is tried in a new one.
TEST(DetectIsaDeathTest, EnvironmentLimitsTheInstructionSet) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        setenv("CONTEXTURE_MAX_ISA", "generic", 1);
        std::exit(DetectIsa() == Isa::kGeneric ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EXIT(
      {
        setenv("CONTEXTURE_MAX_ISA", "avx2", 1);
        std::exit(DetectIsa() <= Isa::kAvx2 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(DetectIsaDeathTest, UnknownLimitIsReportedAndIgnored) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        setenv("CONTEXTURE_MAX_ISA", "mmx", 1);
        DetectIsa();
        std::exit(0);
      },
      testing::ExitedWithCode(0), "CONTEXTURE_MAX_ISA is ignored: .*'mmx'");
}

TEST(CpuGrantTest, CoresAreTheSmallerOfAffinityAndQuotaRoundedDown) {
  EXPECT_EQ(GrantedCores(8, 0.0), 8);
  EXPECT_EQ(GrantedCores(8, 2.9), 2);
  EXPECT_EQ(GrantedCores(2, 16.0), 2);
  EXPECT_EQ(GrantedCores(8, 0.25), 1);
}

TEST(CpuGrantTest, ModelNameIsTheFirstOne) {
  EXPECT_EQ(ParseModelName("processor\t: 0\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) 8481C\n"
                           "processor\t: 1\nmodel name\t: Another\n"),
            "Intel(R) Xeon(R) 8481C");
  EXPECT_EQ(ParseModelName("processor : 0\n"), "");
}

TEST(CpuGrantTest, FollowsTheAffinityMask) {
  std::thread([] {
    cpu_set_t mask;
    ASSERT_EQ(sched_getaffinity(0, sizeof(mask), &mask), 0);
    EXPECT_EQ(DetectCpuGrant().affinity_cpus, CPU_COUNT(&mask));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &mask)) ++cpu;
    CPU_ZERO(&mask);
    CPU_SET(cpu, &mask);
    ASSERT_EQ(sched_setaffinity(0, sizeof(mask), &mask), 0);
    EXPECT_EQ(DetectCpuGrant().affinity_cpus, 1);
    EXPECT_EQ(DetectCpuGrant().cores, 1);
  }).join();
}

}  // namespace
}  // namespace contexture
