#include "core/kernels/onednn_isa.h"

#include <gtest/gtest.h>

#include "core/base/cpu_info.h"
#include "oneapi/dnnl/dnnl.hpp"

namespace contexture::kernels {
namespace {

// Of the classes below what the CPU has, CONTEXTURE_MAX_ISA is what is tested here: this program
// runs with each (contexture_test_isas).
TEST(OneDnnIsaTest, OneDnnComputesWithTheInstructionSetThatWasDetected) {
  constexpr dnnl::cpu_isa kExpected[] = {dnnl::cpu_isa::sse41,
                                         dnnl::cpu_isa::avx2,
                                         dnnl::cpu_isa::avx512_core,
                                         dnnl::cpu_isa::avx512_core_vnni,
                                         dnnl::cpu_isa::avx512_core_bf16,
                                         dnnl::cpu_isa::avx512_core_amx};
  LimitOneDnnIsa();
  EXPECT_EQ(dnnl::get_effective_cpu_isa(), kExpected[static_cast<int>(DetectIsa())])
      << Name(DetectIsa());
}

}  // namespace
}  // namespace contexture::kernels
