#include "core/engine/output_writer.h"

#include <algorithm>
#include <cmath>

#include "core/engine/float_conversion.h"
#include "core/engine/pooling.h"

namespace contexture {
namespace {

// The rows of tokens [begin, end) that POOLING is made of; they are among those of the sequence.
SequenceVectors SpanVectors(const SequenceVectors& sequence, PoolingKind pooling, uint32_t begin,
                            uint32_t end) {
  if (pooling == PoolingKind::kCls) end = begin + 1;
  if (pooling == PoolingKind::kLast) begin = end - 1;
  size_t row = begin;
  if (!sequence.tokens.empty()) {
    row = std::lower_bound(sequence.tokens.begin(), sequence.tokens.end(),
                           sequence.first_token + begin) -
          sequence.tokens.begin();
  }
  return {sequence.hidden + row * sequence.hidden_size, static_cast<int>(end - begin),
          sequence.hidden_size};
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

void WriteRow(const kernels::VectorKernels& kernels, const OutputSpec& spec, const float* row,
              float* scratch, char* destination) {
  if (spec.normalize) {
    const float norm = std::max(std::sqrt(kernels.sum_of_squares(row, spec.dimensions)), 1e-12f);
    for (int c = 0; c < spec.dimensions; ++c) scratch[c] = row[c] / norm;
    row = scratch;
  }
  if (spec.int8_ranges != nullptr) {
    for (int c = 0; c < spec.dimensions; ++c) {
      destination[c] = static_cast<char>(
          ToRangedInt8(row[c], spec.int8_ranges[c], spec.int8_ranges[spec.dimensions + c]));
    }
    return;
  }
  WriteElements(row, spec.dimensions, spec.data_type, destination);
}

void WriteOutput(const WriterContext& context, const SequenceVectors& vectors,
                 const OutputSlot& slot) {
  if (slot.spec.kind == OutputKind::kPooled) {
    const float* row = PooledRow(context, slot.spec.pooling, vectors);
    return WriteRow(context.kernels, slot.spec, row, context.scratch, slot.destination);
  }
  const size_t row_bytes = RowBytes(slot.spec);
  if (slot.spec.kind == OutputKind::kSpans) {
    for (size_t i = 0; i < slot.span_begins.size(); ++i) {
      const SequenceVectors span =
          SpanVectors(vectors, slot.spec.pooling, slot.span_begins[i], slot.span_ends[i]);
      const float* row = PooledRow(context, slot.spec.pooling, span);
      WriteRow(context.kernels, slot.spec, row, context.scratch, slot.destination + i * row_bytes);
    }
    return;
  }
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
