#include "core/engine/output_writer.h"

#include <algorithm>
#include <cmath>

#include "core/engine/float_conversion.h"
#include "core/engine/pooling.h"

namespace contexture {
namespace {

// Slices, normalises (x / max(|x|, 1e-12), as torch.nn.functional.normalize) and converts one row.
void WriteRow(const kernels::VectorKernels& kernels, const OutputSpec& spec, const float* row,
              float* scratch, char* destination) {
  if (spec.normalize) {
    const float norm = std::max(std::sqrt(kernels.sum_of_squares(row, spec.dimensions)), 1e-12f);
    for (int c = 0; c < spec.dimensions; ++c) scratch[c] = row[c] / norm;
    row = scratch;
  }
  WriteElements(row, spec.dimensions, spec.data_type, destination);
}

const float* PooledRow(const WriterContext& context, PoolingKind pooling,
                       const SequenceVectors& vectors) {
  if (pooling == PoolingKind::kCls) return vectors.hidden;
  if (pooling == PoolingKind::kLast) {
    return vectors.hidden + static_cast<size_t>(vectors.length - 1) * vectors.hidden_size;
  }
  if (pooling == PoolingKind::kModel && context.pooling != nullptr) {
    return context.pooling->Run(context.kernels, vectors, context.scratch);
  }
  PoolTokens(context.kernels, pooling, vectors, context.scratch);
  return context.scratch;
}

}  // namespace

void WriteOutput(const WriterContext& context, const SequenceVectors& vectors,
                 const OutputSlot& slot) {
  if (slot.spec.kind == OutputKind::kPooled) {
    const float* row = PooledRow(context, slot.spec.pooling, vectors);
    return WriteRow(context.kernels, slot.spec, row, context.scratch, slot.destination);
  }
  const size_t row_bytes = OutputBytes(slot.spec, 1);
  for (int r = 0; r < vectors.length; ++r) {
    WriteRow(context.kernels, slot.spec,
             vectors.hidden + static_cast<size_t>(r) * vectors.hidden_size, context.scratch,
             slot.destination + r * row_bytes);
  }
}

bool IsFinite(const kernels::VectorKernels& kernels, const SequenceVectors& vectors) {
  // A square cannot overflow for the values of a sane model, and NaN or infinity cannot vanish in a
  // sum.
  bool finite = true;
  for (int r = 0; r < vectors.length; ++r) {
    const float* row = vectors.hidden + static_cast<size_t>(r) * vectors.hidden_size;
    finite = finite && std::isfinite(kernels.sum_of_squares(row, vectors.hidden_size));
  }
  return finite;
}

}  // namespace contexture
