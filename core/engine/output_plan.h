#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "core/model/model_directory.h"
#include "core/tensor/data_type.h"

namespace contexture {

enum class OutputKind { kPooled, kTokens };

// What one output of one sequence is: resolved, no defaults left.
struct OutputSpec {
  OutputKind kind = OutputKind::kPooled;
  PoolingKind pooling = PoolingKind::kMean;  // kPooled only
  bool normalize = false;                    // L2, after slicing
  int dimensions = 0;                        // 1 .. hidden_size, or PoolingConfig::Size for kModel
  DataType data_type = DataType::kFloat32;   // kFloat32, kBfloat16, kFloat16, kInt8
};

// Rows an output has for a sequence of `length` tokens.
constexpr int OutputRows(const OutputSpec& spec, int length) {
  return spec.kind == OutputKind::kTokens ? length : 1;
}
// Bytes of the output; what OutputSlot::destination must hold.
constexpr size_t OutputBytes(const OutputSpec& spec, int length) {
  return static_cast<size_t>(OutputRows(spec, length)) * spec.dimensions * ByteSize(spec.data_type);
}

// An output and where the engine writes it: row-major, little-endian, any alignment.
struct OutputSlot {
  OutputSpec spec;
  char* destination = nullptr;  // OutputBytes(spec, length)
};

// The outputs of every sequence of a batch: sequence i has slots[offsets[i] .. offsets[i + 1]).
struct OutputPlan {
  absl::Span<const OutputSlot> slots;
  absl::Span<const uint32_t> offsets;  // [sequences + 1]
  // [sequences], set by Run: 1 where a result is not finite; its slots then hold garbage.
  absl::Span<uint8_t> non_finite;
};

}  // namespace contexture
