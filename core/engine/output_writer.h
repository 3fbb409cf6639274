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

// Pools, slices, normalises and converts into the slot's destination. `scratch` holds hidden_size
// floats.
void WriteOutput(const kernels::VectorKernels& kernels, const SequenceVectors& vectors,
                 const OutputSlot& slot, float* scratch);

// Whether all vectors are finite.
bool IsFinite(const kernels::VectorKernels& kernels, const SequenceVectors& vectors);

}  // namespace contexture
