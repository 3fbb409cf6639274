#pragma once

#include "absl/status/status.h"

namespace contexture::kernels {

// c = scale * a b^T, or scale * a b: for matrices that come with a request, where packing weights
// and generating kernels, as Linear does once, would not pay. Strides are in elements.
struct GemmArgs {
  const float* a;  // [rows, depth] at a_stride
  int a_stride;
  const float* b;  // [columns, depth] at b_stride; without transpose_b [depth, columns]
  int b_stride;
  bool transpose_b;
  float* c;  // [rows, columns] at c_stride; overlaps neither input
  int c_stride;
  int rows;
  int columns;
  int depth;
  float scale;
};

// Safe from any thread. INTERNAL: oneDNN refuses.
absl::Status Gemm(const GemmArgs& args);

}  // namespace contexture::kernels
