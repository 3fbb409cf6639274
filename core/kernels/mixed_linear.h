#pragma once

#include <cstddef>

#include "absl/types/span.h"
#include "core/base/aligned_buffer.h"
#include "core/kernels/linear.h"
#include "core/kernels/mixed_kernels.h"

namespace contexture::kernels::mixed {

// How a layer is quantized; for Format::kInt8 alone.
struct Int8Spec {
  // [in]: the largest magnitude of each input column in typical use. Columns are scaled so that
  // large ones do not cost the others their bits. Empty: they are left as they are.
  absl::Span<const float> input_ranges = {};
  int depth_chunk = 0;  // the `ins` of Depth; 0: all
  // Inputs whose weights share a scale, of those that a chunk has; 0: all. Some features take in
  // a few weights many times as large as the others, which would then keep few bits.
  int scale_depth = 0;
  // The share of a column's range that its weights take over: between 0 and 1.
  float migration = 0.5f;
};

// How the output features of parts lie in the panels. kInOrder: one part after another. kGated: of
// two parts of one size, the gate and what it gates, 16 columns of each in every panel, so that a
// product's epilogue finds them side by side.
enum class Stacking { kInOrder, kGated };

// A linear layer's weights packed in panels, and its bias. The output features are followed by
// zeros up to a multiple of kPanel (kGated: each part's are). Immutable, thread safe.
class MixedLinear {
 public:
  MixedLinear(Format format, absl::Span<const LinearPart> parts, const Int8Spec& int8 = {},
              Stacking stacking = Stacking::kInOrder);

  int in_features() const { return in_features_; }
  int out_features() const { return out_features_; }  // with the zeros
  const float* bias() const { return bias_.data(); }  // [out], as the panels
  // [in]: what activations must be multiplied by before they are quantized; null: nothing.
  const float* input_factors() const {
    return input_factors_.size() == 0 ? nullptr : input_factors_.data();
  }
  size_t weight_bytes() const;

  // The product over all inputs for output features [first_out, first_out + outs) of the panels;
  // `first_out` is a multiple of kPanel, `outs` is rounded up to one.
  GemmArgs Columns(int first_out, int outs) const;
  // The product over inputs [first_in, first_in + ins) for all output features.
  GemmArgs Depth(int first_in, int ins) const;
  // PRODUCT, of all output features, for those of Columns alone.
  static GemmArgs Cut(GemmArgs product, int first_out, int outs);

 private:
  void PackInt8(const char* const* rows, const Int8Spec& int8);

  const Format format_;
  int in_features_ = 0;
  int out_features_ = 0;
  int depth_chunk_ = 0, scale_depth_ = 0;
  AlignedBuffer<uint16_t> packed_;
  AlignedBuffer<float> bias_;
  AlignedBuffer<float> scale_;          // kInt8: [groups, out]
  AlignedBuffer<float> column_sums_;    // kInt8: [chunks, out]
  AlignedBuffer<float> input_factors_;  // kInt8: [in] or empty
};

}  // namespace contexture::kernels::mixed
