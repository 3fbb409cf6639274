#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/kernels/linear.h"

namespace contexture::kernels {

// LinearBackend::kMatmul. INTERNAL: oneDNN refuses.
absl::StatusOr<std::unique_ptr<Linear>> MakeMatmulLinear(const LinearSpec& spec,
                                                         absl::Span<const LinearPart> parts);

}  // namespace contexture::kernels
