#include "core/kernels/stacked_weights.h"

#include <utility>

#include "core/tensor/widen.h"

namespace contexture::kernels {

StackedWeights::StackedWeights(absl::Span<const LinearPart> parts) : parts_(parts) {
  for (const LinearPart& part : parts) {
    out_features_ += static_cast<int>(part.weight.shape[0]);
    AlignedBuffer<float> widened;
    if (part.weight.data_type != DataType::kFloat32) {
      const size_t count = static_cast<size_t>(part.weight.num_elements());
      widened = AlignedBuffer<float>(count);
      Widen(part.weight.data_type, part.weight.data, count, widened.data());
    }
    widened_.push_back(std::move(widened));
  }
}

const char* StackedWeights::Row(int out) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    const TensorView& weight = parts_[i].weight;
    const int rows = static_cast<int>(weight.shape[0]);
    if (out >= rows) {
      out -= rows;
      continue;
    }
    const void* first = widened_[i].size() == 0 ? weight.data : widened_[i].data();
    return static_cast<const char*>(first) +
           static_cast<size_t>(out) * weight.shape[1] * sizeof(float);
  }
  return nullptr;
}

AlignedBuffer<float> StackedWeights::Bias() const {
  AlignedBuffer<float> bias(out_features_);
  size_t at = 0;
  for (const LinearPart& part : parts_) {
    const size_t rows = part.weight.shape[0];
    if (part.bias.present()) Widen(part.bias.data_type, part.bias.data, rows, bias.data() + at);
    at += rows;
  }
  return bias;
}

}  // namespace contexture::kernels
