#pragma once

#include "core/base/aligned_buffer.h"
#include "core/nn/positions/positional_encoding.h"
#include "core/tensor/tensor_view.h"

namespace contexture::nn {

// A vector for each position, added to the embeddings: learned (Gehring et al. 2017; Devlin et al.
// 2019) as they are, and the base of schemes that compute their table.
class PositionTable : public PositionalEncoding {
 public:
  // Copies WEIGHTS [offset + positions, hidden] from row OFFSET on.
  PositionTable(const TensorView& weights, int offset);

  void AddToEmbeddings(float* embeddings, int length) const override;
  void AddAtPositions(absl::Span<const uint32_t> positions, float* embeddings) const override;
  const float* table() const override { return rows_.data(); }
  int columns() const override { return hidden_size_; }
  void WriteMatrix(int length, float* matrix) const override;
  size_t bytes() const override { return rows_.bytes(); }

 protected:
  PositionTable(int num_positions, int hidden_size);  // all zeros

  const int hidden_size_;
  AlignedBuffer<float> rows_;  // [positions, hidden]
};

}  // namespace contexture::nn
