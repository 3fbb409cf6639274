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

// Bytes of an element; 0: unknown.
size_t ElementBytes(v1::DataType type) {
  switch (type) {
    case v1::DATA_TYPE_FLOAT32:
      return 4;
    case v1::DATA_TYPE_BFLOAT16:
    case v1::DATA_TYPE_FLOAT16:
      return 2;
    case v1::DATA_TYPE_INT8:
      return 1;
    default:
      return 0;
  }
}

float Element(const char* data, v1::DataType type) {
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

}  // namespace

absl::StatusOr<std::vector<float>> TensorValues(const v1::Tensor& tensor) {
  const size_t element_bytes = ElementBytes(tensor.data_type());
  if (element_bytes == 0) {
    return absl::InternalError(absl::StrCat("a tensor of the unknown data type ",
                                            static_cast<int>(tensor.data_type()), " was received"));
  }
  // Compared by division: a hostile shape must not overflow the product.
  size_t remaining = tensor.data().size() / element_bytes;
  bool fits = tensor.data().size() % element_bytes == 0;
  const size_t count = remaining;
  for (int64_t dimension : tensor.shape()) {
    fits = fits && dimension > 0 && remaining % static_cast<size_t>(dimension) == 0;
    if (fits) remaining /= static_cast<size_t>(dimension);
  }
  if (!fits || remaining != 1) {
    return absl::InternalError(absl::StrCat("a tensor of shape [",
                                            absl::StrJoin(tensor.shape(), ", "), "] with ",
                                            tensor.data().size(), " bytes of data was received"));
  }
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = Element(tensor.data().data() + i * element_bytes, tensor.data_type());
  }
  return values;
}

}  // namespace contexture::client
