#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace contexture::test_support {

// A tensor as a safetensors file holds it.
struct StoredTensor {
  std::string name;
  std::string data_type;  // "F32", "I64", ...
  std::vector<int64_t> shape;
  std::string bytes;  // little-endian, row-major
};

// An F32 tensor; VALUES has as many elements as SHAPE.
StoredTensor Float32Tensor(absl::string_view name, std::vector<int64_t> shape,
                           absl::Span<const float> values);
// Values CENTRE +- SPREAD made from the raw bits of RANDOM: the standard's distributions differ
// between libraries, these are the same everywhere.
StoredTensor UniformTensor(const std::string& name, const std::vector<int64_t>& shape, float centre,
                           float spread, std::mt19937& random);

// The contents of a .safetensors file: an 8-byte length, HEADER as it is (valid or not), DATA.
std::string SafetensorsContents(absl::string_view header, absl::string_view data);

// The contents of a valid .safetensors file with TENSORS in their order.
std::string SafetensorsContents(absl::Span<const StoredTensor> tensors);

// Writes TENSORS to PATH. INTERNAL: it cannot be written.
absl::Status WriteSafetensors(absl::string_view path, absl::Span<const StoredTensor> tensors);

}  // namespace contexture::test_support
