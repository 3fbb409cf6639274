#include "core/kernels/mixed_linear.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/kernels/stacked_weights.h"

namespace contexture::kernels::mixed {
namespace {

// The factor of each input column: range of the weights^(1 - m) / range of the activations^m.
AlignedBuffer<float> InputFactors(const Int8Spec& int8, const char* const* rows, int count) {
  const absl::Span<const float> ranges = int8.input_ranges;
  AlignedBuffer<float> factors(ranges.size());
  for (size_t k = 0; k < ranges.size(); ++k) {
    float weight = 0;
    for (int n = 0; n < count; ++n) {
      float value;
      std::memcpy(&value, rows[n] + k * sizeof(float), sizeof(value));
      weight = std::max(weight, std::fabs(value));
    }
    const float factor = std::pow(weight, 1 - int8.migration) / std::pow(ranges[k], int8.migration);
    factors[k] = std::isnormal(factor) ? factor : 1.0f;
  }
  return factors;
}

// Which feature of the stacked parts, `count` in all, each column of the panels holds; -1: zeros.
std::vector<int> PanelOrder(int count, Stacking stacking) {
  const bool gated = stacking == Stacking::kGated;
  const int part = gated ? count / 2 : count;
  std::vector<int> order;
  for (int out = 0; out < RoundUpToPanel(part); ++out) order.push_back(out < part ? out : -1);
  if (!gated) return order;
  constexpr int kHalf = kPanel / 2;
  std::vector<int> both(2 * order.size());
  for (size_t i = 0; i < both.size(); ++i) {
    const int feature = order[i / kPanel * kHalf + i % kHalf];
    both[i] = feature >= 0 && i % kPanel >= kHalf ? part + feature : feature;
  }
  return both;
}

}  // namespace

MixedLinear::MixedLinear(Format format, absl::Span<const LinearPart> parts, const Int8Spec& int8,
                         Stacking stacking)
    : format_(format) {
  const StackedWeights stacked(parts);
  in_features_ = static_cast<int>(parts[0].weight.shape[1]);
  depth_chunk_ = int8.depth_chunk == 0 ? in_features_ : int8.depth_chunk;
  scale_depth_ = int8.scale_depth == 0 ? depth_chunk_ : int8.scale_depth;
  const std::vector<int> order = PanelOrder(stacked.out_features(), stacking);
  out_features_ = static_cast<int>(order.size());
  const AlignedBuffer<float> bias = stacked.Bias();
  bias_ = AlignedBuffer<float>(out_features_);
  const std::vector<float> zeros(in_features_);
  std::vector<const char*> rows(out_features_, reinterpret_cast<const char*>(zeros.data()));
  for (int out = 0; out < out_features_; ++out) {
    if (order[out] < 0) continue;
    rows[out] = stacked.Row(order[out]);
    bias_[out] = bias[order[out]];
  }
  packed_ = AlignedBuffer<uint16_t>(static_cast<size_t>(out_features_) / kPanel *
                                    StepsFor(format, in_features_) * StepElements(format));
  if (format == Format::kInt8) {
    PackInt8(rows.data(), int8);
  } else {
    PackWeights(format, rows.data(), out_features_, in_features_, packed_.data());
  }
}

void MixedLinear::PackInt8(const char* const* rows, const Int8Spec& int8) {
  const size_t chunks = (in_features_ + depth_chunk_ - 1) / depth_chunk_;
  const size_t groups = (in_features_ + scale_depth_ - 1) / scale_depth_;
  scale_ = AlignedBuffer<float>(groups * out_features_);
  column_sums_ = AlignedBuffer<float>(chunks * out_features_);
  input_factors_ = InputFactors(int8, rows, out_features_);
  PackInt8Weights(rows, out_features_, in_features_, {input_factors(), depth_chunk_, scale_depth_},
                  {packed_.data(), scale_.data(), column_sums_.data()});
}

size_t MixedLinear::weight_bytes() const {
  return packed_.bytes() + bias_.bytes() + scale_.bytes() + column_sums_.bytes() +
         input_factors_.bytes();
}

GemmArgs MixedLinear::Columns(int first_out, int outs) const {
  return Cut(Depth(0, in_features_), first_out, outs);
}

GemmArgs MixedLinear::Cut(GemmArgs product, int first_out, int outs) {
  product.weights += static_cast<size_t>(first_out / kPanel) * product.panel_stride;
  product.panels = RoundUpToPanel(outs) / kPanel;
  product.weight_scale += first_out;
  product.column_sums += first_out;
  return product;
}

GemmArgs MixedLinear::Depth(int first_in, int ins) const {
  GemmArgs gemm = {};
  const size_t step = StepElements(format_);
  gemm.panel_stride = StepsFor(format_, in_features_) * step;
  gemm.weights = packed_.data() + static_cast<size_t>(first_in / StepDepth(format_)) * step;
  gemm.steps = StepsFor(format_, ins);
  gemm.panels = out_features_ / kPanel;
  gemm.weight_scale = scale_.data() + static_cast<size_t>(first_in / scale_depth_) * out_features_;
  gemm.scale_stride = out_features_;
  gemm.group_steps = StepsFor(format_, scale_depth_);
  gemm.column_sums =
      column_sums_.data() + static_cast<size_t>(first_in / depth_chunk_) * out_features_;
  return gemm;
}

}  // namespace contexture::kernels::mixed
