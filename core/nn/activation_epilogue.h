#pragma once

#include "core/kernels/vector_kernels.h"
#include "core/model/encoder_config.h"

namespace contexture::nn {

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
