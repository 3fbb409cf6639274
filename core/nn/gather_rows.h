#pragma once

#include <cstdint>
#include <cstring>

#include "absl/types/span.h"

namespace contexture::nn {

// Moves rows ROWS (ascending) of a matrix with STRIDE elements a row to its front, in order.
template <typename T>
void GatherRows(absl::Span<const uint32_t> rows, int stride, T* matrix) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] == i) continue;
    std::memcpy(matrix + i * stride, matrix + static_cast<size_t>(rows[i]) * stride,
                static_cast<size_t>(stride) * sizeof(T));
  }
}

}  // namespace contexture::nn
