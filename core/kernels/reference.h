#pragma once

#include <vector>

#include "core/kernels/vector_kernels.h"

// The slow, obvious twin of every kernel: plain loops in double precision. For tests, and to show
// people what the kernels fuse.
namespace contexture::kernels::reference {

void Norm(const NormArgs& args);
void Add(const AddArgs& args);
void ApplyEpilogue(const EpilogueArgs& args);
void Gate(const GateArgs& args);
void Rotate(const RotateArgs& args);
void Attend(const AttentionArgs& args);
// What the softmax of query QUERY takes for key KEY: scaled and biased, -infinity where masked.
double Score(const AttentionArgs& args, int query, int key);
// What relative positions add to that before scaling; `relative` is not null.
double RelativeScore(const AttentionArgs& args, int query, int key);
// The softmax of that query's scores, [key_length].
std::vector<double> Weights(const AttentionArgs& args, int query);
void Pool(PoolMode mode, const float* input, int rows, int size, float* output);

// y[r, o] = sum over i of x[r, i] * weight[o, i]
struct MatrixArgs {
  const float* x;       // [rows, in]
  const float* weight;  // [out, in]
  float* y;             // [rows, out]
  int rows, in, out;
};
void Multiply(const MatrixArgs& args);

// The activation of an epilogue.
double Activate(Epilogue epilogue, double x);

}  // namespace contexture::kernels::reference
