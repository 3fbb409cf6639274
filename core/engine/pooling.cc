#include "core/engine/pooling.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/base/status_macros.h"

namespace contexture {
namespace {

using kernels::Epilogue;

// Tanh, which no epilogue computes, follows a layer.
Epilogue DenseEpilogue(DenseActivation activation) {
  switch (activation) {
    case DenseActivation::kRelu:
      return Epilogue::kBiasRelu;
    case DenseActivation::kGelu:
      return Epilogue::kBiasGeluErf;
    case DenseActivation::kIdentity:
    case DenseActivation::kTanh:
      break;
  }
  return Epilogue::kBias;
}

void PoolWeightedMean(const SequenceVectors& vectors, float* output) {
  const auto size = static_cast<size_t>(vectors.hidden_size);
  std::fill(output, output + size, 0.0f);
  for (int i = 0; i < vectors.length; ++i) {
    const float* row = vectors.hidden + i * size;
    const auto weight = static_cast<float>(i + 1);
    for (size_t c = 0; c < size; ++c) output[c] += weight * row[c];
  }
  const float length = static_cast<float>(vectors.length);
  const float sum = length * (length + 1.0f) / 2.0f;
  for (size_t c = 0; c < size; ++c) output[c] /= sum;
}

}  // namespace

void PoolTokens(const kernels::VectorKernels& kernels, PoolingKind kind,
                const SequenceVectors& vectors, float* output) {
  const int size = vectors.hidden_size;
  const size_t bytes = size * sizeof(float);
  switch (kind) {
    case PoolingKind::kCls:
      std::memcpy(output, vectors.hidden, bytes);
      return;
    case PoolingKind::kLast:
      std::memcpy(output, vectors.hidden + static_cast<size_t>(vectors.length - 1) * size, bytes);
      return;
    case PoolingKind::kMax:
      return kernels.pool(kernels::PoolMode::kMax, vectors.hidden, vectors.length, size, output);
    case PoolingKind::kWeightedMean:
      return PoolWeightedMean(vectors, output);
    case PoolingKind::kMean:
    case PoolingKind::kMeanSqrtLength:
    case PoolingKind::kModel:
      kernels.pool(kernels::PoolMode::kMean, vectors.hidden, vectors.length, size, output);
  }
  if (kind != PoolingKind::kMeanSqrtLength) return;
  const float root = std::sqrt(static_cast<float>(vectors.length));
  for (int c = 0; c < size; ++c) output[c] *= root;
}

ModelPooling::ModelPooling(const ModelDirectory& directory)
    : config_(directory.pooling),
      widest_(static_cast<int>(config_.parts.size()) * directory.config.hidden_size) {
  for (const DenseConfig& dense : config_.dense) widest_ = std::max(widest_, dense.out_features);
}

absl::StatusOr<std::unique_ptr<ModelPooling>> ModelPooling::Create(const ModelDirectory& directory,
                                                                   kernels::LinearBackend backend,
                                                                   Isa isa) {
  if (directory.pooling.kind != PoolingKind::kModel) return nullptr;
  std::unique_ptr<ModelPooling> pooling(new ModelPooling(directory));
  for (size_t i = 0; i < directory.pooling.dense.size(); ++i) {
    const DenseConfig& dense = directory.pooling.dense[i];
    const LinearWeights& weights = directory.dense_weights[i];
    CTX_ASSIGN_OR_RETURN(auto linear,
                         kernels::MakeLinear(backend,
                                             {.in_features = dense.in_features,
                                              .out_features = dense.out_features,
                                              .input_stride = dense.in_features,
                                              .output_stride = dense.out_features,
                                              .epilogue = DenseEpilogue(dense.activation),
                                              .isa = isa},
                                             {{weights.weight, weights.bias}}));
    pooling->dense_.push_back(std::move(linear));
  }
  return pooling;
}

float* ModelPooling::Run(const kernels::VectorKernels& kernels, const SequenceVectors& vectors,
                         float* scratch) const {
  float* row = scratch;
  float* next = scratch + widest_;
  for (size_t i = 0; i < config_.parts.size(); ++i) {
    PoolTokens(kernels, config_.parts[i], vectors, row + i * vectors.hidden_size);
  }
  for (size_t i = 0; i < dense_.size(); ++i) {
    dense_[i]->Run(row, 1, next);
    std::swap(row, next);
    if (config_.dense[i].activation != DenseActivation::kTanh) continue;
    for (int c = 0; c < config_.dense[i].out_features; ++c) row[c] = std::tanh(row[c]);
  }
  return row;
}

}  // namespace contexture
