#pragma once

#include "core/kernels/mixed_kernels.h"
#include "core/kernels/mixed_linear.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/nn/embedding.h"
#include "core/nn/encoder.h"
#include "core/tensor/packed_batch.h"

namespace contexture::nn {

// Activations of a mixed-precision encoder. Matrices have kSpareRows more rows than tokens, since
// tiles are whole.
struct MixedWorkspace : Workspace {
  MixedWorkspace(const EncoderConfig& config, kernels::mixed::Format format, int max_tokens);
  size_t bytes() const override;

  int hidden_stride, attention_stride, chunk_stride, qkv_stride;  // elements
  AlignedBuffer<uint16_t> input;         // [tokens, hidden]: activations of `hidden`
  AlignedBuffer<uint16_t> qkv;           // kBf16: [tokens, 3 * attention]
  AlignedBuffer<float> qkv_float;        // kSplit: the same in float
  AlignedBuffer<float> context_float;    // kSplit: [tokens, attention]
  AlignedBuffer<uint16_t> context;       // [tokens, attention]
  AlignedBuffer<uint16_t> intermediate;  // [tokens, chunk]
  AlignedBuffer<float> projected;        // [tokens, hidden]
  AlignedBuffer<char> attention_scratch;
};

// Columns of the intermediate activations that are computed and used up together.
inline constexpr int kIntermediateChunk = 384;

// One post-norm encoder layer in mixed precision (Vaswani et al. 2017, 3.1). Immutable, thread
// safe.
class MixedLayer {
 public:
  MixedLayer(const EncoderConfig& config, const LayerWeights& weights,
             kernels::mixed::Format format);
  // Replaces workspace.hidden and its activations, workspace.input, by the layer's output for the
  // tokens ROWS, as Encoder::Run.
  void Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
           MixedWorkspace& workspace) const;
  size_t weight_bytes() const;

 private:
  void ProjectQueryKeyValue(int tokens, MixedWorkspace& workspace) const;
  void AttendAll(const PackedBatch& batch, MixedWorkspace& workspace) const;
  void AttendSequence(int first, int length, MixedWorkspace& workspace) const;
  void AttendSplit(int first, int length, MixedWorkspace& workspace) const;
  void ProjectContext(int tokens, MixedWorkspace& workspace) const;
  void FeedForward(int tokens, MixedWorkspace& workspace) const;
  void FeedForwardUp(int tokens, int first, int columns, MixedWorkspace& workspace) const;
  void FeedForwardDown(int tokens, int first, int columns, MixedWorkspace& workspace) const;
  void AddNorm(const kernels::mixed::MixedLinear& linear, const Norm& norm, int tokens,
               MixedWorkspace& workspace) const;
  int attention_size() const { return config_.attention.num_heads * config_.attention.head_size; }

  const EncoderConfig config_;
  const kernels::mixed::Format format_;
  const kernels::mixed::Kernels& kernels_;
  const kernels::VectorKernels& float_kernels_;
  Norm attention_norm_, output_norm_;
  kernels::mixed::MixedLinear query_key_value_, attention_output_, up_, down_;
};

}  // namespace contexture::nn
