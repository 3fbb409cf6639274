#pragma once

#include "core/base/aligned_buffer.h"
#include "core/tensor/tensor_view.h"
#include "core/tensor/widen.h"

namespace contexture::nn {

// An aligned copy, in float, of a tensor of a floating-point type; empty when it is absent.
inline AlignedBuffer<float> CopyTensor(const TensorView& tensor) {
  if (!tensor.present()) return {};
  AlignedBuffer<float> copy(static_cast<size_t>(tensor.num_elements()));
  Widen(tensor.data_type, tensor.data, copy.size(), copy.data());
  return copy;
}

}  // namespace contexture::nn
