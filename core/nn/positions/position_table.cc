#include "core/nn/positions/position_table.h"

#include <cstddef>
#include <cstring>

#include "core/tensor/widen.h"

namespace contexture::nn {

PositionTable::PositionTable(const TensorView& weights, int offset)
    : PositionTable(static_cast<int>(weights.shape[0]) - offset,
                    static_cast<int>(weights.shape[1])) {
  const size_t skipped = static_cast<size_t>(offset) * hidden_size_ * ByteSize(weights.data_type);
  Widen(weights.data_type, static_cast<const char*>(weights.data) + skipped, rows_.size(),
        rows_.data());
}

PositionTable::PositionTable(int num_positions, int hidden_size)
    : hidden_size_(hidden_size), rows_(static_cast<size_t>(num_positions) * hidden_size) {}

void PositionTable::AddToEmbeddings(float* embeddings, int length) const {
  const size_t count = static_cast<size_t>(length) * hidden_size_;
  for (size_t i = 0; i < count; ++i) embeddings[i] += rows_[i];
}

void PositionTable::AddAtPositions(absl::Span<const uint32_t> positions, float* embeddings) const {
  const size_t size = hidden_size_;
  for (size_t i = 0; i < positions.size(); ++i) {
    const float* row = rows_.data() + positions[i] * size;
    for (size_t c = 0; c < size; ++c) embeddings[i * size + c] += row[c];
  }
}

void PositionTable::WriteMatrix(int length, float* matrix) const {
  std::memcpy(matrix, rows_.data(), static_cast<size_t>(length) * hidden_size_ * sizeof(float));
}

}  // namespace contexture::nn
