#include "core/nn/float_feed_forward.h"

#include "core/base/status_macros.h"
#include "core/nn/kernel_types.h"
#include "core/nn/share.h"

namespace contexture::nn {

using kernels::Epilogue;

FloatFeedForward::FloatFeedForward(const LayerContext& context)
    : context_(context),
      config_(context.config.feed_forward),
      kernels_(kernels::GetVectorKernels(context.isa)) {}

absl::Status FloatFeedForward::Init(const LayerWeights& weights) {
  const int hidden = context_.config.hidden_size, inner = config_.intermediate_size;
  if (config_.gated) {
    const Epilogue epilogue = context_.config.biases.up ? Epilogue::kBias : Epilogue::kNone;
    CTX_ASSIGN_OR_RETURN(up_, MakeFloatLinear(context_, {hidden, 2 * inner, epilogue},
                                              {ToPart(weights.gate), ToPart(weights.up)}));
  } else {
    CTX_ASSIGN_OR_RETURN(
        up_, MakeFloatLinear(context_, {hidden, inner, ActivationEpilogue(config_.activation)},
                             {ToPart(weights.up)}));
  }
  // A gated product lies in the first half of a row.
  const kernels::LinearSpec down = {.in_features = inner,
                                    .out_features = hidden,
                                    .input_stride = config_.gated ? 2 * inner : inner,
                                    .output_stride = hidden,
                                    .epilogue = Epilogue::kNone,
                                    .isa = context_.isa};
  CTX_ASSIGN_OR_RETURN(down_, kernels::MakeLinear(context_.backend, down, {ToPart(weights.down)}));
  return absl::OkStatus();
}

void FloatFeedForward::Run(const float* input, int rows, float* output,
                           FloatWorkspace& workspace) const {
  float* intermediate = workspace.intermediate.data();
  {
    const PartTimer timer(workspace.profile, Part::kFeedForwardUp);
    ShareLinear(workspace, *up_, input, rows, intermediate);
    if (config_.gated) Gate(rows, workspace);
  }
  const PartTimer timer(workspace.profile, Part::kFeedForwardDown);
  ShareLinear(workspace, *down_, intermediate, rows, output);
}

void FloatFeedForward::Gate(int rows, FloatWorkspace& workspace) const {
  const int inner = config_.intermediate_size;
  const kernels::Epilogue activation = ActivationEpilogue(config_.activation);
  Share(workspace, {.rows = rows, .row_step = kSharedRows},
        [&](const ExtentPart& part, FloatWorkspace&) {
          float* first =
              workspace.intermediate.data() + static_cast<size_t>(part.first_row) * 2 * inner;
          kernels_.gate({first, part.rows, inner, activation});
        });
}

}  // namespace contexture::nn
