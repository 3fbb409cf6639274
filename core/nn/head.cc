#include "core/nn/head.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/status_macros.h"
#include "core/nn/kernel_types.h"

namespace contexture::nn {
namespace {

using kernels::Epilogue;

// Tanh, which no epilogue computes, follows the layer.
Epilogue DenseEpilogue(HeadActivation activation) {
  switch (activation) {
    case HeadActivation::kGeluErf:
      return Epilogue::kBiasGeluErf;
    case HeadActivation::kGeluTanh:
      return Epilogue::kBiasGeluTanh;
    case HeadActivation::kRelu:
      return Epilogue::kBiasRelu;
    case HeadActivation::kSilu:
      return Epilogue::kBiasSilu;
    case HeadActivation::kIdentity:
    case HeadActivation::kTanh:
      break;
  }
  return Epilogue::kBias;
}

// COUNT elements of a vector, or rows of a matrix, from BEGIN on; absent when VIEW is.
TensorView Cut(const TensorView& view, int begin, int count) {
  if (!view.present()) return view;
  TensorView part = view;
  part.shape[0] = count;
  const size_t row_bytes = view.num_bytes() / view.shape[0];
  part.data = static_cast<const char*>(view.data) + begin * row_bytes;
  return part;
}

}  // namespace

Head::Head(const EncoderConfig& config, const HeadConfig& head, const HeadWeights& weights, Isa isa)
    : config_(head),
      hidden_size_(config.hidden_size),
      features_(head.features(config.hidden_size)),
      num_outputs_(head.num_outputs),
      epsilon_(config.norm_epsilon),
      kernels_(kernels::GetVectorKernels(isa)),
      norm_(weights.norm) {}

absl::StatusOr<std::unique_ptr<Head>> Head::Create(const EncoderConfig& config,
                                                   const HeadConfig& head,
                                                   const HeadWeights& weights,
                                                   kernels::LinearBackend backend, Isa isa) {
  std::unique_ptr<Head> created(new Head(config, head, weights, isa));
  CTX_RETURN_IF_ERROR(created->Init(weights, backend, isa));
  return created;
}

absl::Status Head::Init(const HeadWeights& weights, kernels::LinearBackend backend, Isa isa) {
  kernels::LinearSpec spec = {.in_features = hidden_size_,
                              .out_features = features_,
                              .input_stride = hidden_size_,
                              .output_stride = features_,
                              .epilogue = DenseEpilogue(config_.activation),
                              .isa = isa};
  if (config_.dense_size > 0) {
    CTX_ASSIGN_OR_RETURN(dense_, kernels::MakeLinear(backend, spec, {{ToPart(weights.dense)}}));
  }
  spec.in_features = spec.input_stride = features_;
  spec.epilogue = Epilogue::kBias;
  for (int begin = 0; begin < num_outputs_; begin += kTileColumns) {
    const int columns = std::min(kTileColumns, num_outputs_ - begin);
    const kernels::LinearPart part = {Cut(weights.output.weight, begin, columns),
                                      Cut(weights.output.bias, begin, columns)};
    spec.out_features = spec.output_stride = columns;
    CTX_ASSIGN_OR_RETURN(auto tile, kernels::MakeLinear(backend, spec, {part}));
    tiles_.push_back(std::move(tile));
    tile_columns_.push_back(columns);
  }
  return absl::OkStatus();
}

void Head::Transform(const float* input, int rows, float* output) const {
  const size_t count = static_cast<size_t>(rows) * features_;
  if (dense_ == nullptr) {
    std::memcpy(output, input, count * sizeof(float));
  } else {
    dense_->Run(input, rows, output);
    if (config_.activation == HeadActivation::kTanh) {
      for (size_t i = 0; i < count; ++i) output[i] = std::tanh(output[i]);
    }
  }
  if (!norm_.present()) return;
  kernels_.norm({.input = output,
                 .bias = nullptr,
                 .residual = nullptr,
                 .gamma = norm_.gamma.data(),
                 .beta = norm_.beta.data(),
                 .output = output,
                 .rows = rows,
                 .size = features_,
                 .epsilon = epsilon_});
}

void Head::RunTile(int tile, const float* transformed, int rows, float* outputs) const {
  tiles_[tile]->Run(transformed, rows, outputs);
}

size_t Head::weight_bytes() const {
  size_t bytes = norm_.gamma.bytes() + norm_.beta.bytes();
  if (dense_ != nullptr) bytes += dense_->weight_bytes();
  for (const auto& tile : tiles_) bytes += tile->weight_bytes();
  return bytes;
}

}  // namespace contexture::nn
