#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/tensor/tensor_view.h"

namespace contexture {

// Tensors by name: a file of them, or several. Thread safe.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // NOT_FOUND: no tensor NAME. FAILED_PRECONDITION: its dtype is none of core/tensor/data_type.h.
  // Both name the tensor. The data is aligned to its element size and lives as long as the source.
  virtual absl::StatusOr<TensorView> Find(absl::string_view name) const = 0;
  virtual bool Contains(absl::string_view name) const = 0;
  virtual const std::vector<std::string>& names() const = 0;  // sorted
  // Gives the files' pages back to the kernel; views stay valid and are read from the files again.
  virtual void ReleasePages() const = 0;
};

}  // namespace contexture
