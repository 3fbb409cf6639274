#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/cpu_info.h"

namespace contexture::kernels {

// Hand-vectorised kernels over float rows, one table per instruction set. All are pure functions of
// their arguments, allocate nothing and are safe from any thread; a row's result depends on that
// row alone. Each has a slow twin in reference.h. Strides are in elements.

// output[r] = norm(input[r] + bias + residual[r]) * gamma + beta over the last dimension, with the
// population variance (LayerNorm: Ba, Kiros, Hinton 2016), or without the mean (RMSNorm: Zhang,
// Sennrich 2019). `bias`, `residual` may be null.
struct NormArgs {
  const float* input;     // [rows, size]
  const float* bias;      // [size] or null
  const float* residual;  // [rows, size] or null
  const float* gamma;     // [size]
  const float* beta;      // [size]
  float* output;          // [rows, size]; may be `input` or `residual`
  int rows;
  int size;
  float epsilon;
  bool subtract_mean = true;  // false: RMSNorm
};

// output[r] = input[r] + bias + residual[r]
struct AddArgs {
  const float* input;     // [rows, size]
  const float* bias;      // [size] or null
  const float* residual;  // [rows, size] or null
  float* output;          // [rows, size]; may alias either input
  int rows;
  int size;
};

enum class Epilogue { kNone, kBias, kBiasGeluErf, kBiasGeluTanh, kBiasRelu, kBiasSilu };

// tile[r][c] = activation(tile[r][c] + bias[c]), in place.
struct EpilogueArgs {
  float* tile;        // [rows, columns] at `stride`
  const float* bias;  // [columns]
  int rows;
  int columns;
  int stride;
  Epilogue epilogue;
};

// rows[r][c] = activation(rows[r][c]) * rows[r][columns + c]: the gate of a gated feed-forward (GLU
// variants: Shazeer 2020), in place. The activation is the epilogue's, without a bias.
struct GateArgs {
  float* rows;  // [num_rows, 2 * columns]
  int num_rows;
  int columns;
  Epilogue activation;
};

// Turns each head of a row: elements i and i + head_size / 2 become (first cos - second sin, second
// cos + first sin) (rotary positions: Su et al. 2021), in place.
struct RotateArgs {
  float* rows;         // [num_rows, num_heads * head_size] at `stride`
  const float* turns;  // [num_rows, head_size]: head_size / 2 cosines, then as many sines
  int num_rows;
  int num_heads;
  int head_size;  // even
  int stride;
};

// Queries whose products with relative positions are computed together, and keys likewise.
inline constexpr int kRelativeTile = 64;

// What scores (i, j) of a head grow by before scaling, from a table of relative positions
// (disentangled attention: He et al. 2021, 3.1): query i times the position key of row rows[j - i],
// and key j times the position query of that row. Either may be null: it adds nothing. Rows descend
// as j - i grows.
struct RelativeScores {
  const float* keys;     // [head_size, key_stride]: transposed, with anything finite past num_rows
  int key_stride;        // num_rows rounded up to 16
  const float* queries;  // [num_rows, head_size] at `query_stride`
  int query_stride;
  int num_rows;
  // By j - i, to the middle of a table with 16 elements more than distances at its end.
  const int32_t* rows;
  const int32_t* tile_offsets;  // rows[d] * kRelativeTile + d
};

// Scaled dot-product attention of one sequence and one head (Vaswani et al. 2017):
// context = softmax(scale * query key^T) value, the softmax exact over the whole row.
struct AttentionArgs {
  const float* query;  // [query_length, head_size] at `stride`
  const float* key;    // [key_length, head_size] at `stride`
  const float* value;  // [key_length, head_size] at `stride`
  float* context;      // [query_length, head_size] at `context_stride`
  int query_length;
  int key_length;
  int head_size;
  int stride;
  int context_stride;
  float scale;
  bool causal;     // query i sees keys 0 .. i
  float* scratch;  // AttentionScratchFloats floats, 64-byte aligned
  // Score (i, j) is lowered by alibi_slope |i - j| after scaling (ALiBi: Press et al. 2022).
  float alibi_slope = 0.0f;
  // Query i sees keys i - window .. i + window alone; 0: all keys.
  int window = 0;
  // Added to the scaled scores: element j - i for query i and key j, so the pointer is to the
  // middle of 2 * key_length - 1 floats at least; null: nothing.
  const float* distance_bias = nullptr;
  const RelativeScores* relative = nullptr;  // null: none
};
// Enough for every instruction set. RELATIVE_ROWS: RelativeScores::num_rows.
size_t AttentionScratchFloats(int key_length, int head_size, int relative_rows = 0);

enum class PoolMode { kMean, kMax };

struct VectorKernels {
  Isa isa;
  void (*norm)(const NormArgs&);
  void (*add)(const AddArgs&);
  void (*epilogue)(const EpilogueArgs&);
  void (*attention)(const AttentionArgs&);
  void (*gate)(const GateArgs&);
  void (*rotate)(const RotateArgs&);
  // output[c] = pooled input[0 .. rows)[c]; input [rows, size] dense.
  void (*pool)(PoolMode, const float* input, int rows, int size, float* output);
  // Sum of squares of x[0 .. size).
  float (*sum_of_squares)(const float* x, int size);
};

// The table for `isa`, or the best one below it. Constant.
const VectorKernels& GetVectorKernels(Isa isa);

}  // namespace contexture::kernels
