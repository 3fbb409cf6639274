#pragma once

#include "core/base/aligned_buffer.h"
#include "core/kernels/vector_kernels.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"

namespace contexture::nn {

// A normalisation's parameters, copied; without a bias in the weights, beta is zeros.
struct Norm {
  // OFFSET is added to gamma.
  explicit Norm(const NormWeights& weights, float offset = 0.0f);
  bool present() const { return gamma.size() != 0; }

  AlignedBuffer<float> gamma, beta;  // [size]; empty when absent
};

// Rows that a norm adds up and normalises, see kernels::NormArgs.
struct NormRows {
  const float* input;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* output;
  int rows;
};

// Computes NORM, which is present, over ROWS as CONFIG says.
inline void Normalise(const kernels::VectorKernels& kernels, const EncoderConfig& config,
                      const Norm& norm, const NormRows& rows) {
  kernels.norm({.input = rows.input,
                .bias = rows.bias,
                .residual = rows.residual,
                .gamma = norm.gamma.data(),
                .beta = norm.beta.data(),
                .output = rows.output,
                .rows = rows.rows,
                .size = static_cast<int>(norm.gamma.size()),
                .epsilon = config.norm_epsilon,
                .subtract_mean = config.norm_kind == NormKind::kLayer});
}

}  // namespace contexture::nn
