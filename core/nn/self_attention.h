#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/base/aligned_buffer.h"
#include "core/kernels/linear.h"
#include "core/kernels/vector_kernels.h"
#include "core/model/encoder_weights.h"

namespace contexture::nn {

struct SelfAttentionOptions {
  int num_heads = 8;
  int hidden_size = 512;  // num_heads divides it
  kernels::LinearBackend backend = kernels::LinearBackend::kMicrokernel;
  Isa isa = Isa::kGeneric;
};

// Multi-head self-attention as a module of its own (Vaswani et al. 2017, 3.2): one linear layer
// makes queries, keys and values of all heads; softmax(q k^T / sqrt(head size)) v per head; no
// output projection. [length, hidden] to [length, hidden]. Immutable, thread safe.
class SelfAttention {
 public:
  // Packs QUERY_KEY_VALUE [3 * hidden, hidden], its bias may be absent. INVALID_ARGUMENT: shapes
  // that disagree. Others: those of kernels::MakeLinear.
  static absl::StatusOr<std::unique_ptr<SelfAttention>> Create(const SelfAttentionOptions& options,
                                                               const LinearWeights& weights);

  // The activations of sequences up to a length; one per thread.
  struct Buffers {
    AlignedBuffer<float> query_key_value;  // [length, 3 * hidden]
    AlignedBuffer<float> scratch;
  };
  Buffers NewBuffers(int max_length) const;

  // INPUT and OUTPUT [length, hidden]. Computes the weights of BLOCK positions at a time, each over
  // the whole sequence; the size of a block, at least 1, does not change a bit of the output.
  void Run(const float* input, int length, int block, Buffers& buffers, float* output) const;

 private:
  explicit SelfAttention(const SelfAttentionOptions& options)
      : options_(options), kernels_(kernels::GetVectorKernels(options.isa)) {}

  const SelfAttentionOptions options_;
  const kernels::VectorKernels& kernels_;
  std::unique_ptr<kernels::Linear> query_key_value_;
};

}  // namespace contexture::nn
