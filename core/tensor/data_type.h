#pragma once

#include <cstddef>

namespace contexture {

// Element types of stored tensors and of answers.
enum class DataType { kFloat32, kBfloat16, kFloat16, kInt8, kInt64 };

// Bytes of one element.
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
  }
  return 0;
}

// The name in safetensors headers and messages: "F32", "BF16", "F16", "I8", "I64".
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
  }
  return "?";
}

}  // namespace contexture
