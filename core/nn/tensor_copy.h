#pragma once

#include <cstring>

#include "core/base/aligned_buffer.h"
#include "core/tensor/tensor_view.h"

namespace contexture::nn {

// An aligned copy of an F32 tensor; empty when it is absent.
inline AlignedBuffer<float> CopyTensor(const TensorView& tensor) {
  if (!tensor.present()) return {};
  AlignedBuffer<float> copy(static_cast<size_t>(tensor.num_elements()));
  std::memcpy(copy.data(), tensor.data, copy.bytes());
  return copy;
}

}  // namespace contexture::nn
