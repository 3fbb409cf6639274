#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace contexture {

// A tensor as the header of a .safetensors file describes it.
struct StoredTensorInfo {
  std::string name;
  std::string data_type;  // as the file spells it: "F32", "BF16", "U8", ...
  absl::InlinedVector<int64_t, 4> shape;
  size_t begin = 0, end = 0;  // bytes of the data section, end exclusive
};

struct SafetensorsHeader {
  size_t data_begin = 0;                  // where the data section starts in the file
  std::vector<StoredTensorInfo> tensors;  // sorted by name
};

// Reads the header of CONTENTS, a whole .safetensors file, and proves that every tensor lies inside
// it: known data types, shapes that fit their byte ranges, ranges that cover the data section
// exactly once. Touches no page of the data section. INVALID_ARGUMENT: anything else, with the
// culprit and both values.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view contents);

}  // namespace contexture
