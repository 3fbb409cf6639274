#pragma once

#include "core/nn/positions/positional_encoding.h"

namespace contexture::nn {

// Position i is the one-hot vector e_i: [1, 0, 0, ...], [0, 1, 0, ...]. Its NUM_POSITIONS
// dimensions are the first of the embedding's (num_positions <= hidden_size). Nothing is stored,
// and adding touches one element of a token. The learned form, a row for each position, is a
// PositionTable.
class SparsePositions : public PositionalEncoding {
 public:
  SparsePositions(int num_positions, int hidden_size)
      : num_positions_(num_positions), hidden_size_(hidden_size) {}

  void AddToEmbeddings(float* embeddings, int length) const override;
  void AddAtPositions(absl::Span<const uint32_t> positions, float* embeddings) const override;
  // Of the vectors themselves: num_positions.
  int columns() const override { return num_positions_; }
  void WriteMatrix(int length, float* matrix) const override;

 private:
  const int num_positions_;
  const int hidden_size_;
};

}  // namespace contexture::nn
