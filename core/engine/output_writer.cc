#include "core/engine/output_writer.h"

#include <algorithm>
#include <cmath>

#include "core/engine/float_conversion.h"

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

const float* PooledRow(const kernels::VectorKernels& kernels, PoolingKind pooling,
                       const SequenceVectors& vectors, float* scratch) {
  switch (pooling) {
    case PoolingKind::kCls:
      return vectors.hidden;
    case PoolingKind::kLast:
      return vectors.hidden + static_cast<size_t>(vectors.length - 1) * vectors.hidden_size;
    case PoolingKind::kMean:
      kernels.pool(kernels::PoolMode::kMean, vectors.hidden, vectors.length, vectors.hidden_size,
                   scratch);
      return scratch;
    case PoolingKind::kMax:
      kernels.pool(kernels::PoolMode::kMax, vectors.hidden, vectors.length, vectors.hidden_size,
                   scratch);
      return scratch;
  }
  return vectors.hidden;
}

}  // namespace

void WriteOutput(const kernels::VectorKernels& kernels, const SequenceVectors& vectors,
                 const OutputSlot& slot, float* scratch) {
  if (slot.spec.kind == OutputKind::kPooled) {
    const float* row = PooledRow(kernels, slot.spec.pooling, vectors, scratch);
    return WriteRow(kernels, slot.spec, row, scratch, slot.destination);
  }
  const size_t row_bytes = OutputBytes(slot.spec, 1);
  for (int r = 0; r < vectors.length; ++r) {
    WriteRow(kernels, slot.spec, vectors.hidden + static_cast<size_t>(r) * vectors.hidden_size,
             scratch, slot.destination + r * row_bytes);
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
