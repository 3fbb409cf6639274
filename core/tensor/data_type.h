#pragma once

#include <cstddef>

namespace contexture {

// Element types of stored tensors and of answers.
enum class DataType {
  kFloat32,
  kBfloat16,
  kFloat16,
  kInt8,
  kInt64,   // stored only
  kBinary,  // one bit; of answers only
};

// Bytes of one element; 0 of kBinary, which only RowBytes counts.
constexpr size_t ByteSize(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return 4;
    case DataType::kBfloat16:
    case DataType::kFloat16:
      return 2;
    case DataType::kInt8:
      return 1;
    case DataType::kInt64:
      return 8;
    case DataType::kBinary:
      break;
  }
  return 0;
}

// Bytes of COUNT elements one after another; bits fill whole bytes.
constexpr size_t RowBytes(DataType type, int count) {
  const auto elements = static_cast<size_t>(count);
  return type == DataType::kBinary ? (elements + 7) / 8 : elements * ByteSize(type);
}

// The name in safetensors headers and messages: "F32", "BF16", "F16", "I8", "I64", "BIT".
constexpr const char* Name(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return "F32";
    case DataType::kBfloat16:
      return "BF16";
    case DataType::kFloat16:
      return "F16";
    case DataType::kInt8:
      return "I8";
    case DataType::kInt64:
      return "I64";
    case DataType::kBinary:
      return "BIT";
  }
  return "?";
}

}  // namespace contexture
