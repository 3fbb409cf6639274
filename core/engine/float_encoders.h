#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/base/cpu_info.h"
#include "core/model/model_directory.h"
#include "core/nn/encoder.h"

namespace contexture {

// The encoder of precision f32, with a decoder where the model has one.
absl::StatusOr<std::unique_ptr<nn::Encoder>> CreateFloatEncoder(const ModelDirectory& directory,
                                                                Isa isa);

}  // namespace contexture
