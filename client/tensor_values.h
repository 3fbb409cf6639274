#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "contexture/v1/encoder.pb.h"

namespace contexture::client {

// The elements as floats: bfloat16 and float16 exactly, int8 divided by 127 (what the server
// multiplied by). INTERNAL: the data type is unknown, a dimension is negative, or the bytes do not
// fit the shape.
absl::StatusOr<std::vector<float>> TensorValues(const v1::Tensor& tensor);

}  // namespace contexture::client
