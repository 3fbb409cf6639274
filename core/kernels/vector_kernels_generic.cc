#include "core/kernels/simd_generic.h"
#include "core/kernels/vector_kernels.h"

#define CTX_SIMD simd_generic
// Each builds on the one before.
// clang-format off
#include "core/kernels/vector_math_inl.h"
#include "core/kernels/vector_rows_inl.h"
#include "core/kernels/vector_attention_parts_inl.h"
#include "core/kernels/vector_relative_scores_inl.h"
#include "core/kernels/vector_attention_inl.h"
// clang-format on

namespace contexture::kernels {

extern const VectorKernels kVectorKernelsGeneric;
const VectorKernels kVectorKernelsGeneric = {
    Isa::kGeneric,  CTX_SIMD::Norm,   CTX_SIMD::Add,  CTX_SIMD::ApplyEpilogue, CTX_SIMD::Attend,
    CTX_SIMD::Gate, CTX_SIMD::Rotate, CTX_SIMD::Pool, CTX_SIMD::SumOfSquares,
};

}  // namespace contexture::kernels
