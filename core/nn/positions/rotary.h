#pragma once

#include <vector>

#include "core/base/aligned_buffer.h"
#include "core/nn/positions/positional_encoding.h"

namespace contexture::nn {

// The radians by which the pairs of a head of HEAD_SIZE elements turn per position.
std::vector<double> RotaryFrequencies(const RotaryConfig& config, int head_size);

// Rotary embedding (Su et al. 2021): in each head, elements i and i + head_size / 2 of a query or
// key turn by position * theta^(-2i / head_size), so that a score depends on the distance of its
// two tokens. Pairs are half a head apart ("rotate half"), as in most published models, not
// neighbours.
// Longer texts than those of the training stretch the angles, see RotaryScaling.
class RotaryPositions : public PositionalEncoding {
 public:
  // HEAD_SIZE is even.
  RotaryPositions(int num_positions, int head_size, const RotaryConfig& config);

  void RotateQueryKey(const QueryKeyRows& rows) const override;
  const float* turns() const override { return turns_.data(); }
  // Of a head: cosines in its first half, sines in its second.
  int columns() const override { return head_size_; }
  void WriteMatrix(int length, float* matrix) const override;
  size_t bytes() const override { return turns_.bytes(); }

 private:
  const int head_size_;
  AlignedBuffer<float> turns_;  // [positions, head_size], see columns()
};

}  // namespace contexture::nn
