#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "core/tensor/data_type.h"

namespace contexture {

// A non-owning, dense, row-major tensor: usually a range of a memory-mapped weights file.
// Valid as long as its owner. Data may be unaligned to more than its element size.
struct TensorView {
  DataType data_type = DataType::kFloat32;
  absl::InlinedVector<int64_t, 4> shape;
  const void* data = nullptr;  // null: the tensor is absent

  bool present() const { return data != nullptr; }
  int64_t num_elements() const {
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    return count;
  }
  size_t num_bytes() const { return static_cast<size_t>(num_elements()) * ByteSize(data_type); }
};

}  // namespace contexture
