#pragma once

#include <cstddef>

#include "absl/types/span.h"
#include "core/base/aligned_buffer.h"
#include "core/kernels/linear.h"
#include "core/kernels/mixed_kernels.h"

namespace contexture::kernels::mixed {

// A linear layer's weights packed in panels, and its bias. Immutable, thread safe. Both feature
// counts must be multiples of 32.
class MixedLinear {
 public:
  MixedLinear(Format format, absl::Span<const LinearPart> parts);

  int in_features() const { return in_features_; }
  int out_features() const { return out_features_; }
  const float* bias() const { return bias_.data(); }
  size_t weight_bytes() const { return packed_.bytes() + bias_.bytes(); }

  // The product over all inputs for output features [first_out, first_out + outs).
  GemmArgs Columns(int first_out, int outs) const;
  // The product over inputs [first_in, first_in + ins) for all output features.
  GemmArgs Depth(int first_in, int ins) const;

 private:
  const Format format_;
  int in_features_ = 0;
  int out_features_ = 0;
  AlignedBuffer<uint16_t> packed_;
  AlignedBuffer<float> bias_;
};

}  // namespace contexture::kernels::mixed
