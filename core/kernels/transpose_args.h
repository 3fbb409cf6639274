#pragma once

// What Transpose of simd_generic.h, simd_avx2.h and simd_avx512.h takes. Data alone, so that
// nothing compiled for one instruction set comes to another.
namespace contexture::kernels {

// out[d * out_stride + i] = rows[i * stride + d] for the lanes i and the columns d < num_columns,
// at most kLanes; rows from num_rows on count as zeros and are not read.
struct TransposeArgs {
  const float* rows;
  long stride;  // floats
  int num_rows;
  int num_columns;
  float* out;
  long out_stride;  // floats
};

}  // namespace contexture::kernels
