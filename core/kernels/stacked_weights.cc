#include "core/kernels/stacked_weights.h"

#include <cstring>

namespace contexture::kernels {

StackedWeights::StackedWeights(absl::Span<const LinearPart> parts) : parts_(parts) {
  for (const LinearPart& part : parts) out_features_ += static_cast<int>(part.weight.shape[0]);
}

const char* StackedWeights::Row(int out) const {
  for (const LinearPart& part : parts_) {
    const int rows = static_cast<int>(part.weight.shape[0]);
    if (out < rows) {
      return static_cast<const char*>(part.weight.data) +
             static_cast<size_t>(out) * part.weight.shape[1] * sizeof(float);
    }
    out -= rows;
  }
  return nullptr;
}

AlignedBuffer<float> StackedWeights::Bias() const {
  AlignedBuffer<float> bias(out_features_);
  size_t at = 0;
  for (const LinearPart& part : parts_) {
    const size_t rows = part.weight.shape[0];
    if (part.bias.present()) std::memcpy(bias.data() + at, part.bias.data, rows * sizeof(float));
    at += rows;
  }
  return bias;
}

}  // namespace contexture::kernels
