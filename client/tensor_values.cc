#include "client/tensor_values.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace contexture::client {
namespace {

float FromBfloat16(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

float FromFloat16(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1F;
  const int mantissa = bits & 0x3FF;
  float magnitude;
  if (exponent == 0x1F) {
    magnitude = mantissa == 0 ? std::numeric_limits<float>::infinity()
                              : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa + 0x400), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// Bits of an element; 0: unknown.
size_t ElementBits(v1::DataType type) {
  switch (type) {
    case v1::DATA_TYPE_FLOAT32:
      return 32;
    case v1::DATA_TYPE_BFLOAT16:
    case v1::DATA_TYPE_FLOAT16:
      return 16;
    case v1::DATA_TYPE_INT8:
      return 8;
    case v1::DATA_TYPE_BINARY:
      return 1;
    default:
      return 0;
  }
}

float Element(const char* row, size_t column, v1::DataType type) {
  if (type == v1::DATA_TYPE_BINARY) {
    return static_cast<float>((static_cast<uint8_t>(row[column / 8]) >> (7 - column % 8)) & 1);
  }
  const char* data = row + column * (ElementBits(type) / 8);
  if (type == v1::DATA_TYPE_INT8) return static_cast<float>(static_cast<int8_t>(*data)) / 127.0F;
  if (type == v1::DATA_TYPE_FLOAT32) {
    float value;
    std::memcpy(&value, data, sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, data, sizeof(bits));
  return type == v1::DATA_TYPE_BFLOAT16 ? FromBfloat16(bits) : FromFloat16(bits);
}

size_t Columns(const v1::Tensor& tensor) {
  return tensor.shape().empty() ? 1 : static_cast<size_t>(*tensor.shape().rbegin());
}

// Whether the shape has as many elements as the data. Compared by division: a hostile shape must
// not overflow the product.
bool Fits(const v1::Tensor& tensor) {
  bool empty = false;
  for (int64_t dimension : tensor.shape()) {
    if (dimension < 0) return false;
    empty = empty || dimension == 0;
  }
  const size_t bytes = tensor.data().size();
  if (empty || bytes == 0) return empty && bytes == 0;
  const size_t row_bytes = TensorRowBytes(tensor);
  if (row_bytes == 0 || bytes % row_bytes != 0) return false;
  size_t remaining = bytes / row_bytes;
  for (int i = 0; i + 1 < tensor.shape_size(); ++i) {
    const auto dimension = static_cast<size_t>(tensor.shape(i));
    if (remaining % dimension != 0) return false;
    remaining /= dimension;
  }
  return remaining == 1;
}

}  // namespace

size_t TensorRowBytes(const v1::Tensor& tensor) {
  const size_t columns = Columns(tensor), bits = ElementBits(tensor.data_type());
  constexpr size_t kMost = std::numeric_limits<size_t>::max() / 64;
  return columns > kMost ? 0 : (columns * bits + 7) / 8;
}

absl::Status CheckTensor(const v1::Tensor& tensor) {
  if (ElementBits(tensor.data_type()) == 0) {
    return absl::InternalError(absl::StrCat("a tensor of the unknown data type ",
                                            static_cast<int>(tensor.data_type()), " was received"));
  }
  if (Fits(tensor)) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("a tensor of shape [",
                                          absl::StrJoin(tensor.shape(), ", "), "] with ",
                                          tensor.data().size(), " bytes of data was received"));
}

absl::StatusOr<std::vector<float>> TensorValues(const v1::Tensor& tensor) {
  if (absl::Status status = CheckTensor(tensor); !status.ok()) return status;
  std::vector<float> values;
  if (tensor.data().empty()) return values;
  const size_t columns = Columns(tensor), row_bytes = TensorRowBytes(tensor);
  const size_t rows = tensor.data().size() / row_bytes;
  values.resize(rows * columns);
  for (size_t row = 0; row < rows; ++row) {
    const char* data = tensor.data().data() + row * row_bytes;
    for (size_t c = 0; c < columns; ++c) {
      values[row * columns + c] = Element(data, c, tensor.data_type());
    }
  }
  return values;
}

}  // namespace contexture::client
