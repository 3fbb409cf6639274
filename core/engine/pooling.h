#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/engine/output_writer.h"
#include "core/kernels/linear.h"
#include "core/kernels/vector_kernels.h"
#include "core/model/model_directory.h"

namespace contexture {

// Writes the vector [hidden_size] of one pooling; KIND is not kModel.
void PoolTokens(const kernels::VectorKernels& kernels, PoolingKind kind,
                const SequenceVectors& vectors, float* output);

// PoolingKind::kModel: several poolings side by side, then Dense modules. Immutable, thread safe.
class ModelPooling {
 public:
  // Null when the model's pooling is a single one. Packs the weights; their views may go
  // afterwards. Codes: those of kernels::MakeLinear.
  static absl::StatusOr<std::unique_ptr<ModelPooling>> Create(const ModelDirectory& directory,
                                                              kernels::LinearBackend backend,
                                                              Isa isa);

  // Returns the vector [PoolingConfig::Size], which lies in SCRATCH [scratch_floats()].
  float* Run(const kernels::VectorKernels& kernels, const SequenceVectors& vectors,
             float* scratch) const;
  size_t scratch_floats() const { return 2 * static_cast<size_t>(widest_); }

 private:
  explicit ModelPooling(const ModelDirectory& directory);

  const PoolingConfig config_;
  int widest_ = 0;  // of the vectors between the modules
  std::vector<std::unique_ptr<kernels::Linear>> dense_;
};

}  // namespace contexture
