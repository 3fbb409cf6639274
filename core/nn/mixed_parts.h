#pragma once

#include <vector>

#include "absl/types/span.h"
#include "core/kernels/mixed_kernels.h"
#include "core/nn/activation_ranges.h"
#include "core/nn/float_parts.h"

namespace contexture::nn {

// What a mixed-precision layer and its parts are made from. What the references lead to outlives
// them.
struct MixedContext {
  LayerContext layer;  // its backend projects relative positions
  kernels::mixed::Format format;
  const kernels::mixed::Kernels& kernels;

  const EncoderConfig& config() const { return layer.config; }
  const kernels::VectorKernels& float_kernels() const {
    return kernels::GetVectorKernels(layer.isa);
  }
  int low_offset(int columns) const { return kernels::mixed::LowOffset(format, columns); }
};

// Int8Spec::scale_depth of the layers. BERT-like models write large values into a few features of
// the residual stream through a few large weights, beside which the others would vanish in a common
// scale.
inline constexpr int kScaleDepth = 128;

// Rows [first, first + rows) of the tokens, at most kMixedBlockRows.
struct MixedBlock {
  int first;
  int rows;
  int at = 0;  // where they begin in the buffers of a block: this may be a part of one

  MixedBlock Part(int first_row, int num_rows) const {
    return {first + first_row, num_rows, at + first_row};
  }
};

// What the linear layer that comes next takes of the residual stream.
struct MixedInput {
  const Norm* norm = nullptr;      // it goes through this before; null: through none
  const float* factors = nullptr;  // of MixedLinear::input_factors
  bool wanted = true;              // false: no layer comes
};

// `ranges` may be null.
inline absl::Span<const float> RangesOf(const LayerRanges* ranges,
                                        std::vector<float> LayerRanges::*part) {
  return ranges == nullptr ? absl::Span<const float>() : ranges->*part;
}

}  // namespace contexture::nn
