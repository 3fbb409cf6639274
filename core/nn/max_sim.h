#pragma once

#include "absl/status/statusor.h"

namespace contexture::nn {

// Vectors of the same size, one after another.
struct VectorRows {
  const float* data;  // [rows, size]
  int rows;           // at least 1
};

// The sum over the query's vectors of the greatest dot product with a vector of the document
// (MaxSim: Khattab and Zaharia 2020, 3.3). Depends on these two alone; safe from any thread.
// INTERNAL: oneDNN refuses.
absl::StatusOr<float> MaxSim(const VectorRows& query, const VectorRows& document, int size);

}  // namespace contexture::nn
