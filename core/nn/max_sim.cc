#include "core/nn/max_sim.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "core/base/status_macros.h"
#include "core/kernels/gemm.h"

namespace contexture::nn {
namespace {

// Vectors of the document whose products with the query lie in the cache together.
constexpr int kBlock = 64;

}  // namespace

absl::StatusOr<float> MaxSim(const VectorRows& query, const VectorRows& document, int size) {
  std::vector<float> products(static_cast<size_t>(query.rows) * kBlock);
  std::vector<float> best(query.rows, -std::numeric_limits<float>::infinity());
  for (int first = 0; first < document.rows; first += kBlock) {
    const int columns = std::min(kBlock, document.rows - first);
    CTX_RETURN_IF_ERROR(kernels::Gemm({.a = query.data,
                                       .a_stride = size,
                                       .b = document.data + static_cast<size_t>(first) * size,
                                       .b_stride = size,
                                       .transpose_b = true,
                                       .c = products.data(),
                                       .c_stride = kBlock,
                                       .rows = query.rows,
                                       .columns = columns,
                                       .depth = size,
                                       .scale = 1.0f}));
    for (int q = 0; q < query.rows; ++q) {
      const float* row = products.data() + static_cast<size_t>(q) * kBlock;
      best[q] = std::max(best[q], *std::max_element(row, row + columns));
    }
  }
  double sum = 0;
  for (float value : best) sum += value;
  return static_cast<float>(sum);
}

}  // namespace contexture::nn
