#pragma once

#include "core/base/aligned_buffer.h"
#include "core/model/encoder_config.h"
#include "core/tensor/tensor_view.h"

namespace contexture::nn {

// The bucket of a key that lies DISTANCE tokens after its query (before, when negative): half of
// the buckets for each direction, of which the first half has one distance each, and the others
// grow with its logarithm up to max_distance (T5: Raffel et al. 2020, 2.1).
int RelativeBucket(int distance, const RelativeBiasConfig& config);

// What scores grow by, for each head and distance. Immutable, thread safe.
class RelativeBias {
 public:
  // TABLE [buckets, heads] is copied.
  RelativeBias(const EncoderConfig& config, const TensorView& table);

  // For kernels::AttentionArgs::distance_bias, for distances below EncoderConfig::max_length.
  const float* Head(int head) const { return biases_.data() + head * stride_ + stride_ / 2; }
  // Floats from a head's to the next one's.
  size_t head_stride() const { return stride_; }
  size_t bytes() const { return biases_.bytes(); }

 private:
  const size_t stride_;          // 2 * max_length - 1 distances
  AlignedBuffer<float> biases_;  // [heads, stride]
};

}  // namespace contexture::nn
