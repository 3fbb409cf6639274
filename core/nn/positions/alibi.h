#pragma once

#include <vector>

#include "core/nn/positions/positional_encoding.h"

namespace contexture::nn {

// The slopes of the heads (Press et al. 2022, 3): 2^(-8/n), 2^(-16/n), ... for n heads when n is a
// power of two; otherwise those of the power of two below n, then every second one of twice as
// many.
std::vector<float> AlibiSlopes(int num_heads);

// Attention with linear biases: score (i, j) of a head grows by -slope |i - j|, in both directions
// as encoders use it; under a causal mask only j <= i is left, which is the paper's form.
class AlibiPositions : public PositionalEncoding {
 public:
  explicit AlibiPositions(int num_heads) : slopes_(AlibiSlopes(num_heads)) {}

  void BiasScores(const ScoreRows& rows) const override;
  absl::Span<const float> slopes() const override { return slopes_; }
  // A column for each head; row i is the bias at distance i.
  int columns() const override { return static_cast<int>(slopes_.size()); }
  void WriteMatrix(int length, float* matrix) const override;

 private:
  const std::vector<float> slopes_;
};

}  // namespace contexture::nn
