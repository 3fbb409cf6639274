#pragma once

#include "core/engine/output_plan.h"
#include "core/kernels/vector_kernels.h"

namespace contexture {

// The vectors of one sequence, or of those of its tokens that its outputs need.
struct SequenceVectors {
  const float* hidden;  // [length, hidden_size]
  int length;
  int hidden_size;
  // [length], ascending: `first_token` and the place in the sequence, of each row. Empty: the rows
  // are all tokens, in order.
  absl::Span<const uint32_t> tokens = {};
  uint32_t first_token = 0;
};

class ModelPooling;

// What outputs are written with.
struct WriterContext {
  const kernels::VectorKernels& kernels;
  const ModelPooling* pooling;  // null: the model has no pooling of several parts
  float* scratch;               // hidden_size floats, or as many as `pooling` wants
};

// Pools, slices, normalises and converts into the slot's destination.
void WriteOutput(const WriterContext& context, const SequenceVectors& vectors,
                 const OutputSlot& slot);

// Slices, normalises (x / max(|x|, 1e-12), as torch.nn.functional.normalize) and converts ROW.
// SCRATCH holds its elements and may be ROW.
void WriteRow(const kernels::VectorKernels& kernels, const OutputSpec& spec, const float* row,
              float* scratch, char* destination);

// Whether all vectors are finite.
bool IsFinite(const kernels::VectorKernels& kernels, const SequenceVectors& vectors);

}  // namespace contexture
