#pragma once

#include "contexture/v1/encoder.pb.h"
#include "server/services/output_specs.h"

namespace contexture {

// TENSOR holds a float for each token of the vocabulary; from now on those that RULE keeps, in its
// data type, with their indices.
void KeepSparse(const SparseRule& rule, v1::Tensor& tensor);

}  // namespace contexture
