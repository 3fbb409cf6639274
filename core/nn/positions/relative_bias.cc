#include "core/nn/positions/relative_bias.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/nn/tensor_copy.h"

namespace contexture::nn {

int RelativeBucket(int distance, const RelativeBiasConfig& config) {
  const int half = config.num_buckets / 2;
  const int base = distance > 0 ? half : 0;
  const int length = std::abs(distance);
  const int exact = half / 2;
  if (length < exact) return base + length;
  // In float, as the models were trained: a distance at the border of two buckets depends on it.
  const auto range = static_cast<float>(std::log(static_cast<double>(config.max_distance) / exact));
  const float position = std::log(static_cast<float>(length) / static_cast<float>(exact)) / range *
                         static_cast<float>(half - exact);
  // In this order what is no number becomes 0.
  const float last = static_cast<float>(half - 1 - exact);
  return base + exact + static_cast<int>(std::max(0.0f, std::min(position, last)));
}

RelativeBias::RelativeBias(const EncoderConfig& config, const TensorView& table)
    : stride_(2 * static_cast<size_t>(config.max_length) - 1),
      biases_(config.attention.num_heads * stride_) {
  const AlignedBuffer<float> values = CopyTensor(table);
  const int heads = config.attention.num_heads;
  for (int head = 0; head < heads; ++head) {
    float* middle = biases_.data() + head * stride_ + stride_ / 2;
    for (int distance = 1 - config.max_length; distance < config.max_length; ++distance) {
      const int bucket = RelativeBucket(distance, config.attention.relative_bias);
      middle[distance] = values[static_cast<size_t>(bucket) * heads + head];
    }
  }
}

}  // namespace contexture::nn
