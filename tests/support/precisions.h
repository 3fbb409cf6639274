#pragma once

#include <vector>

#include "core/base/cpu_info.h"
#include "core/engine/engine.h"

namespace contexture::test_support {

// The precisions that this CPU computes.
inline std::vector<Precision> ComputablePrecisions() {
  std::vector<Precision> precisions = {Precision::kFloat32};
  if (DetectIsa() >= Isa::kAvx512Vnni) precisions.push_back(Precision::kInt8);
  if (DetectIsa() >= Isa::kAvx512Bf16) precisions.push_back(Precision::kBfloat16);
  if (DetectIsa() >= Isa::kAmx) precisions.push_back(Precision::kFloat32Split);
  return precisions;
}

}  // namespace contexture::test_support
