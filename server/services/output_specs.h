#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "contexture/v1/encoder.pb.h"
#include "core/engine/engine.h"
#include "core/engine/output_plan.h"

namespace contexture {

// Runs of tokens: OutputSpec.windows, its defaults filled in. size 0: the caller gives the spans.
struct WindowRule {
  uint32_t size = 0;
  uint32_t stride = 0;  // 1 .. size
};

// What is kept of the weights of the vocabulary, which the engine writes as a row of floats.
struct SparseRule {
  bool wanted = false;  // the output is of OUTPUT_KIND_SPARSE
  uint32_t top_k = 0;   // 0: all that are not 0
  DataType data_type = DataType::kFloat32;
};

// An output of a request, resolved.
struct ResolvedOutput {
  OutputSpec spec;  // but for int8_ranges
  SparseRule sparse = {};
  WindowRule windows = {};              // kSpans only
  std::vector<float> int8_ranges = {};  // [2, dimensions] or empty: OutputSpec::int8_ranges
};

// Output INDEX of a request with the model's defaults filled in. INVALID_ARGUMENT: an unknown enum
// value, too many dimensions, a field that the kind does not have, INT8 of vectors that are neither
// normalised nor in ranges, ranges or windows that make no sense, a layer beyond the last.
// FAILED_PRECONDITION: the model does not show the layer, or has no head for sparse
// weights or vectors of late interaction.
absl::StatusOr<ResolvedOutput> ResolveOutput(const v1::OutputSpec& spec, int index,
                                             const EngineInfo& info);

v1::DataType ToProto(DataType type);
v1::Pooling ToProto(PoolingKind kind);

}  // namespace contexture
