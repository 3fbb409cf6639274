#pragma once

#include <initializer_list>
#include <memory>

#include "absl/status/statusor.h"
#include "core/kernels/linear.h"
#include "core/kernels/vector_kernels.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/nn/norm.h"
#include "core/nn/positions/disentangled.h"
#include "core/nn/positions/positional_encoding.h"
#include "core/nn/positions/relative_bias.h"

namespace contexture::nn {

// What a float layer and its parts are made from. What the references lead to outlives them.
struct LayerContext {
  const EncoderConfig& config;
  const PositionalEncoding& positions;        // of this layer
  const RelativeBias* relative_bias;          // null: none
  const DisentangledPositions* disentangled;  // null: none
  int window;                                 // of this layer, see AttentionConfig
  kernels::LinearBackend backend;
  Isa isa;
};

struct LinearShape {
  int in, out;
  kernels::Epilogue epilogue;
};

// A linear layer over dense rows. Codes: those of kernels::MakeLinear.
inline absl::StatusOr<std::unique_ptr<kernels::Linear>> MakeFloatLinear(
    const LayerContext& context, const LinearShape& shape,
    std::initializer_list<kernels::LinearPart> parts) {
  return kernels::MakeLinear(context.backend,
                             {.in_features = shape.in,
                              .out_features = shape.out,
                              .input_stride = shape.in,
                              .output_stride = shape.out,
                              .epilogue = shape.epilogue,
                              .isa = context.isa},
                             parts);
}

}  // namespace contexture::nn
