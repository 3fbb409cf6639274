#pragma once

#include <atomic>

#include "absl/status/status.h"
#include "absl/types/optional.h"

namespace contexture::nn {

// A dense, row-major matrix that belongs to somebody else; absent without rows.
struct MatrixView {
  const float* data = nullptr;
  int rows = 0;
  int columns = 0;
  bool present() const { return rows > 0; }
};

// y = x weight^T + bias. Without a weight y is x.
struct Projection {
  MatrixView weight;            // [out, in]
  const float* bias = nullptr;  // [out] or null
  int out(int in) const { return weight.present() ? weight.rows : in; }
};

// Scaled dot-product attention over given vectors, per head (Vaswani et al. 2017, 3.2):
// softmax(scale * q k^T + mask) v, with q, k, v the projected queries, keys and values.
struct AttendArgs {
  MatrixView query = {};  // [m, d]
  MatrixView key = {};    // [n, dk]
  MatrixView value = {};  // [n, dv]
  // After these queries and keys have e columns, values ev; num_heads divides both.
  Projection query_projection = {}, key_projection = {}, value_projection = {};
  Projection output_projection = {};  // of the heads' contexts, side by side, [out, ev]
  MatrixView mask = {};  // [m, n] or absent: added to the scaled scores, -inf hides a key
  bool causal = false;   // query i sees keys 0 .. i; every query sees some key
  int num_heads = 1;
  absl::optional<float> scale = {};  // 1 / sqrt(e / num_heads)
  // Looked at now and then; may be null.
  const std::atomic<bool>* cancelled = nullptr;

  float* context = nullptr;  // [m, output_projection.out(ev)]
  float* weights = nullptr;  // [num_heads, m, n], or null: not wanted
};

// Computes blocks of queries, each against all keys. Shapes agree and inputs are finite (callers
// check). Safe from any thread; blocks for the computation; allocates. OUT_OF_RANGE: products
// overflow, so that the context is not finite. CANCELLED. INTERNAL: oneDNN refuses.
absl::Status Attend(const AttendArgs& args);

// Multiplications of two floats that Attend needs.
double AttendProducts(const AttendArgs& args);

}  // namespace contexture::nn
