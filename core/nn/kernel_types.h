#pragma once

#include "core/kernels/linear.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"

namespace contexture::nn {

// A model's linear layer as a part of a kernel's stacked weights.
inline kernels::LinearPart ToPart(const LinearWeights& weights) {
  return {weights.weight, weights.bias};
}

inline kernels::Epilogue ActivationEpilogue(Activation activation) {
  switch (activation) {
    case Activation::kGeluErf:
      return kernels::Epilogue::kBiasGeluErf;
    case Activation::kGeluTanh:
      return kernels::Epilogue::kBiasGeluTanh;
    case Activation::kRelu:
      return kernels::Epilogue::kBiasRelu;
    case Activation::kSilu:
      return kernels::Epilogue::kBiasSilu;
  }
  return kernels::Epilogue::kNone;
}

}  // namespace contexture::nn
