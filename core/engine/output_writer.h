#pragma once

#include "core/engine/output_plan.h"
#include "core/kernels/vector_kernels.h"

namespace contexture {

// The final vectors of one sequence.
struct SequenceVectors {
  const float* hidden;  // [length, hidden_size]
  int length;
  int hidden_size;
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

// Whether all vectors are finite.
bool IsFinite(const kernels::VectorKernels& kernels, const SequenceVectors& vectors);

}  // namespace contexture
