#pragma once

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "core/base/aligned_buffer.h"
#include "core/kernels/linear.h"

namespace contexture::kernels {

// The parts of a linear layer read one after another as floats: bias and, by row, weights. Parts of
// another data type are widened once, for as long as the object lives.
class StackedWeights {
 public:
  explicit StackedWeights(absl::Span<const LinearPart> parts);
  int out_features() const { return out_features_; }
  // The in_features float weights of output feature `out`; may be unaligned.
  const char* Row(int out) const;
  AlignedBuffer<float> Bias() const;

 private:
  absl::Span<const LinearPart> parts_;
  std::vector<AlignedBuffer<float>> widened_;  // by part; empty where the file has floats
  int out_features_ = 0;
};

}  // namespace contexture::kernels
