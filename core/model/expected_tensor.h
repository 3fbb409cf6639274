#pragma once

#include <cstdint>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/tensor/tensor_view.h"

namespace contexture {

using Shape = absl::InlinedVector<int64_t, 4>;

// A tensor that a model needs and where its view goes: whole, or cut into stretches of rows, as
// many for each target as the target's view says.
struct ExpectedTensor {
  std::string name = {};
  std::string old_name = {};  // another spelling of the name; empty: none
  Shape shape = {};
  bool transposed = false;  // the file has columns for rows
  int interleaved = 0;      // the targets take runs of this many rows in turn; 0: one stretch each
  absl::InlinedVector<TensorView*, 3> targets = {};
};

// The names of the weight and bias of a layer that is called NAME.
inline std::string PartName(absl::string_view name, absl::string_view part) {
  return absl::StrCat(name, absl::EndsWith(name, "_") ? "" : ".", part);
}

}  // namespace contexture
