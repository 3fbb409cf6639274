#include "core/nn/convolution.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/status_macros.h"
#include "core/nn/gather_rows.h"
#include "core/nn/kernel_types.h"
#include "core/nn/tensor_copy.h"

namespace contexture::nn {
namespace {

// [hidden, hidden / groups, size] as the matrix [hidden, size * hidden] over windows of tokens.
AlignedBuffer<float> WindowWeights(const EncoderConfig& config, const TensorView& weight) {
  const AlignedBuffer<float> stored = CopyTensor(weight);
  const size_t hidden = config.hidden_size, size = config.convolution.size;
  const size_t group = hidden / config.convolution.groups;
  AlignedBuffer<float> weights(hidden * size * hidden);
  for (size_t out = 0; out < hidden; ++out) {
    const size_t first = out / group * group;
    for (size_t in = 0; in < group; ++in) {
      for (size_t k = 0; k < size; ++k) {
        weights[(out * size + k) * hidden + first + in] = stored[(out * group + in) * size + k];
      }
    }
  }
  return weights;
}

}  // namespace

Convolution::Convolution(const LayerContext& context, const EncoderWeights& weights)
    : config_(context.config),
      kernels_(kernels::GetVectorKernels(context.isa)),
      norm_(weights.convolution_norm, context.config.norm_weight_offset) {}

absl::StatusOr<std::unique_ptr<Convolution>> Convolution::Create(const LayerContext& context,
                                                                 const EncoderWeights& weights) {
  std::unique_ptr<Convolution> convolution(new Convolution(context, weights));
  const EncoderConfig& config = context.config;
  const AlignedBuffer<float> matrix = WindowWeights(config, weights.convolution.weight);
  const int in = config.convolution.size * config.hidden_size;
  const std::optional<Activation> activation = config.convolution.activation;
  const kernels::Epilogue epilogue =
      activation.has_value() ? ActivationEpilogue(*activation) : kernels::Epilogue::kBias;
  const TensorView view = {
      .data_type = DataType::kFloat32, .shape = {config.hidden_size, in}, .data = matrix.data()};
  CTX_ASSIGN_OR_RETURN(convolution->linear_,
                       MakeFloatLinear(context, {in, config.hidden_size, epilogue},
                                       {{view, weights.convolution.bias}}));
  return convolution;
}

void Convolution::Gather(const Windows& windows, float* output) const {
  const size_t hidden = config_.hidden_size;
  const int size = config_.convolution.size;
  for (int r = 0; r < windows.rows; ++r) {
    for (int k = 0; k < size; ++k, output += hidden) {
      const int token = windows.first + r + k - size / 2;
      if (token < 0 || token >= windows.length) {
        std::fill_n(output, hidden, 0.0f);
      } else {
        std::memcpy(output, windows.tokens + token * hidden, hidden * sizeof(float));
      }
    }
  }
}

void Convolution::Run(const PackedBatch& batch, FloatWorkspace& workspace) const {
  const size_t hidden = config_.hidden_size;
  for (int sequence = 0; sequence < batch.num_sequences(); ++sequence) {
    const size_t at = batch.offsets[sequence] * hidden;
    const int length = batch.length(sequence);
    workspace.ForEachBlock(length, [&](int first, int rows) {
      Gather({workspace.hidden.data() + at, length, first, rows}, workspace.windows.data());
      linear_->Run(workspace.windows.data(), rows,
                   workspace.convolved.data() + at + first * hidden);
    });
  }
  if (config_.convolution.activation.has_value()) return;
  float* convolved = workspace.convolved.data();
  for (size_t i = 0; i < batch.num_tokens() * hidden; ++i) convolved[i] = std::tanh(convolved[i]);
}

void Convolution::Add(const PackedBatch& batch, absl::Span<const uint32_t> rows,
                      FloatWorkspace& workspace) const {
  if (!rows.empty()) GatherRows(rows, config_.hidden_size, workspace.convolved.data());
  float* hidden = workspace.hidden.data();
  Normalise(kernels_, config_, norm_,
            {.input = hidden,
             .residual = workspace.convolved.data(),
             .output = hidden,
             .rows = rows.empty() ? batch.num_tokens() : static_cast<int>(rows.size())});
}

}  // namespace contexture::nn
