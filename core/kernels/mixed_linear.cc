#include "core/kernels/mixed_linear.h"

#include <vector>

#include "core/kernels/stacked_weights.h"

namespace contexture::kernels::mixed {

MixedLinear::MixedLinear(Format format, absl::Span<const LinearPart> parts) : format_(format) {
  const StackedWeights stacked(parts);
  in_features_ = static_cast<int>(parts[0].weight.shape[1]);
  out_features_ = stacked.out_features();
  bias_ = stacked.Bias();
  std::vector<const char*> rows(out_features_);
  for (int out = 0; out < out_features_; ++out) rows[out] = stacked.Row(out);
  packed_ = AlignedBuffer<uint16_t>(static_cast<size_t>(RoundUpToPanel(out_features_)) / kPanel *
                                    (RoundUpToPanel(in_features_) / kDepth) * StepElements(format));
  PackWeights(format, rows.data(), out_features_, in_features_, packed_.data());
}

GemmArgs MixedLinear::Columns(int first_out, int outs) const {
  GemmArgs gemm = Depth(0, in_features_);
  gemm.weights += static_cast<size_t>(first_out / kPanel) * gemm.panel_stride;
  gemm.panels = outs / kPanel;
  return gemm;
}

GemmArgs MixedLinear::Depth(int first_in, int ins) const {
  GemmArgs gemm = {};
  const size_t step = StepElements(format_);
  gemm.panel_stride = static_cast<size_t>(in_features_ / kDepth) * step;
  gemm.weights = packed_.data() + static_cast<size_t>(first_in / kDepth) * step;
  gemm.steps = ins / kDepth;
  gemm.panels = out_features_ / kPanel;
  return gemm;
}

}  // namespace contexture::kernels::mixed
