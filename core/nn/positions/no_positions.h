#pragma once

#include <algorithm>
#include <cstddef>

#include "core/nn/positions/positional_encoding.h"

namespace contexture::nn {

// No positions: the encoder sees a set of tokens, and permuting them permutes its output.
class NoPositions : public PositionalEncoding {
 public:
  explicit NoPositions(int hidden_size) : hidden_size_(hidden_size) {}
  int columns() const override { return hidden_size_; }
  void WriteMatrix(int length, float* matrix) const override {
    std::fill_n(matrix, static_cast<size_t>(length) * hidden_size_, 0.0f);
  }

 private:
  const int hidden_size_;
};

}  // namespace contexture::nn
