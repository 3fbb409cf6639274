#include "core/nn/positions/sparse.h"

#include <algorithm>
#include <cstddef>

namespace contexture::nn {

void SparsePositions::AddToEmbeddings(float* embeddings, int length) const {
  for (int i = 0; i < length; ++i) embeddings[static_cast<size_t>(i) * hidden_size_ + i] += 1.0f;
}

void SparsePositions::AddAtPositions(absl::Span<const uint32_t> positions,
                                     float* embeddings) const {
  for (size_t i = 0; i < positions.size(); ++i) embeddings[i * hidden_size_ + positions[i]] += 1.0f;
}

void SparsePositions::WriteMatrix(int length, float* matrix) const {
  std::fill_n(matrix, static_cast<size_t>(length) * num_positions_, 0.0f);
  for (int i = 0; i < length; ++i) matrix[static_cast<size_t>(i) * num_positions_ + i] = 1.0f;
}

}  // namespace contexture::nn
