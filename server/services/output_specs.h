#pragma once

#include "absl/status/statusor.h"
#include "contexture/v1/encoder.pb.h"
#include "core/engine/engine.h"
#include "core/engine/output_plan.h"

namespace contexture {

// Output INDEX of a request with the model's defaults filled in. INVALID_ARGUMENT: an unknown enum
// value, too many dimensions, pooling of token vectors, INT8 of vectors that are not normalised.
absl::StatusOr<OutputSpec> ResolveOutput(const v1::OutputSpec& spec, int index,
                                         const EngineInfo& info);

v1::DataType ToProto(DataType type);
v1::Pooling ToProto(PoolingKind kind);

}  // namespace contexture
