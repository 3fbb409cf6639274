#include "client/cli/matrix.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/tensor_values.h"

namespace contexture::cli {

absl::StatusOr<Matrix> ToMatrix(const v1::Tensor& tensor) {
  absl::StatusOr<std::vector<float>> values = client::TensorValues(tensor);
  if (!values.ok()) return values.status();
  if (tensor.shape_size() != 2) {
    return absl::InternalError(
        absl::StrCat("a tensor of ", tensor.shape_size(), " dimensions was received, expected 2"));
  }
  return Matrix{static_cast<size_t>(tensor.shape(0)), static_cast<size_t>(tensor.shape(1)),
                *std::move(values)};
}

double Dot(absl::Span<const float> a, absl::Span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

double Cosine(absl::Span<const float> a, absl::Span<const float> b) {
  const double lengths = std::sqrt(Dot(a, a) * Dot(b, b));
  return lengths > 0 ? Dot(a, b) / lengths : 0;
}

}  // namespace contexture::cli
