#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "contexture/v1/encoder.pb.h"

namespace contexture::cli {

struct Matrix {
  size_t rows = 0;
  size_t columns = 0;
  std::vector<float> values;  // [rows, columns]

  absl::Span<const float> row(size_t index) const {
    return absl::MakeConstSpan(values).subspan(index * columns, columns);
  }
};

// INTERNAL: not a tensor of two dimensions, or one that makes no sense.
absl::StatusOr<Matrix> ToMatrix(const v1::Tensor& tensor);

double Dot(absl::Span<const float> a, absl::Span<const float> b);
// 0 where one of them has no length.
double Cosine(absl::Span<const float> a, absl::Span<const float> b);

}  // namespace contexture::cli
