#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/kernels/linear.h"

namespace contexture::kernels {

// LinearBackend::kMicrokernel. Statuses of BrgemmKernel::Create.
absl::StatusOr<std::unique_ptr<Linear>> MakeBrgemmLinear(const LinearSpec& spec,
                                                         absl::Span<const LinearPart> parts);

}  // namespace contexture::kernels
