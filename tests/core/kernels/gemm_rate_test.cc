#include "core/kernels/gemm_rate.h"

#include <gtest/gtest.h>

#include <utility>

#include "core/base/cpu_info.h"

namespace contexture::kernels {
namespace {

TEST(GemmRateTest, FloatIsMeasuredOnEveryCpu) {
  const auto rate = MeasureGemmRate(GemmKind::kFloat, 0.001);
  ASSERT_TRUE(rate.ok()) << rate.status() << " on " << Name(DetectIsa());
  EXPECT_GT(*rate, 0.0);
}

TEST(GemmRateTest, WhatTheCpuLacksIsRefused) {
  const std::pair<GemmKind, Isa> kinds[] = {{GemmKind::kInt8, Isa::kAvx512Vnni},
                                            {GemmKind::kBf16, Isa::kAvx512Bf16},
                                            {GemmKind::kSplit, Isa::kAmx}};
  for (const auto& [kind, isa] : kinds) {
    const auto rate = MeasureGemmRate(kind, 0.001);
    if (DetectIsa() >= isa) {
      EXPECT_TRUE(rate.ok()) << rate.status() << " on " << Name(DetectIsa());
    } else {
      EXPECT_EQ(rate.status().code(), absl::StatusCode::kFailedPrecondition) << Name(isa);
    }
  }
}

}  // namespace
}  // namespace contexture::kernels
