#pragma once

#include <memory>

#include "core/nn/float_parts.h"
#include "core/nn/observer.h"

namespace contexture::nn {

// The projected queries, keys and values of one sequence, all heads side by side.
struct HeadRows {
  float* query;    // [length, query_size] at `stride`
  float* key;      // [length, key_size] at `stride`
  float* value;    // [length, key_size] at `stride`
  float* context;  // [length, query_size] at `context_stride`
  int length;
  int stride;  // elements
  int context_stride;
};

// Attention in float from projected queries, keys and values to the context (Vaswani et al. 2017,
// 3.2), with what families add to it: grouped keys and values, norms of queries and keys, a window,
// positions. Immutable, thread safe.
class FloatHeads {
 public:
  FloatHeads(const LayerContext& context, const LayerWeights& weights);
  // Projects relative positions where the model has them. Codes: those of kernels::MakeLinear.
  absl::Status Init(const LayerWeights& weights);

  // Norms and rotates queries and keys in place, and writes the context. SCRATCH is that of
  // kernels::AttentionArgs; OBSERVER may be null.
  void Run(const HeadRows& rows, float* scratch, Observer* observer) const;
  size_t weight_bytes() const { return relative_ == nullptr ? 0 : relative_->bytes(); }

 private:
  void Normalise(const Norm& norm, const HeadRows& rows, float* heads, int num_heads) const;
  void Rotate(const HeadRows& rows, float* heads, int num_heads) const;

  const LayerContext context_;
  const AttentionConfig config_;
  const kernels::VectorKernels& kernels_;
  Norm query_norm_, key_norm_;
  std::unique_ptr<const DisentangledProjections> relative_;  // null: none
};

}  // namespace contexture::nn
