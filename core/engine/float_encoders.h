#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/kernels/linear.h"
#include "core/model/model_directory.h"
#include "core/nn/encoder.h"

namespace contexture {

// What CREATE makes with micro-kernels where oneDNN has them for this CPU, else with its matmul
// primitive.
template <typename Create>
auto CreateWithBackend(Create create) {
  auto created = create(kernels::LinearBackend::kMicrokernel);
  if (!absl::IsUnimplemented(created.status())) return created;
  return create(kernels::LinearBackend::kMatmul);
}

// The encoder of precision f32, with a decoder where the model has one.
absl::StatusOr<std::unique_ptr<nn::Encoder>> CreateFloatEncoder(const ModelDirectory& directory,
                                                                Isa isa);

}  // namespace contexture
