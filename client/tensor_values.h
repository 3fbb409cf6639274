#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "contexture/v1/encoder.pb.h"

namespace contexture::client {

// The elements as floats: bfloat16 and float16 exactly, int8 divided by 127 (what the server
// multiplied by, where the request gave no ranges), bits as 0 and 1. Codes as CheckTensor's.
absl::StatusOr<std::vector<float>> TensorValues(const v1::Tensor& tensor);

// INTERNAL: the data type is unknown, a dimension is negative, or the bytes do not fit the shape.
absl::Status CheckTensor(const v1::Tensor& tensor);

// Bytes of a row, the last dimension; 0: the data type or the shape makes no sense.
size_t TensorRowBytes(const v1::Tensor& tensor);

}  // namespace contexture::client
