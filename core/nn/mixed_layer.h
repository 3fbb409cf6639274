#pragma once

#include "core/kernels/mixed_kernels.h"
#include "core/kernels/mixed_linear.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/nn/activation_ranges.h"
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
  AlignedBuffer<uint16_t> qkv;           // attention in bfloat16: [tokens, 3 * attention]
  AlignedBuffer<float> qkv_float;        // attention in float: the same
  AlignedBuffer<float> context_float;    // kSplit, kInt8: [tokens, attention]
  AlignedBuffer<uint16_t> context;       // [tokens, attention]
  AlignedBuffer<uint16_t> intermediate;  // [tokens, chunk]
  AlignedBuffer<float> projected;        // [tokens, hidden]
  AlignedBuffer<char> attention_scratch;
};

// Columns of the intermediate activations that are computed and used up together.
inline constexpr int kIntermediateChunk = kernels::mixed::kMaxQuantizedColumns;

// Whether attention runs in bfloat16: not with kSplit, and with kInt8 where the CPU multiplies it.
bool AttendsInBf16(kernels::mixed::Format format);

// One post-norm encoder layer in mixed precision (Vaswani et al. 2017, 3.1). Immutable, thread
// safe.
class MixedLayer {
 public:
  // `ranges`: for kInt8, or null.
  MixedLayer(const EncoderConfig& config, const LayerWeights& weights,
             kernels::mixed::Format format, const LayerRanges* ranges);

  struct Request {
    absl::Span<const uint32_t> rows;  // as Encoder::Run
    const float* factors;             // input_factors of the next layer, or null
  };
  // Replaces workspace.hidden and its activations, workspace.input, by the layer's output.
  void Run(const PackedBatch& batch, const Request& request, MixedWorkspace& workspace) const;
  // What the layer's input is multiplied by before it is quantized; null: nothing.
  const float* input_factors() const { return query_key_value_.input_factors(); }
  size_t weight_bytes() const;

 private:
  void ProjectQueryKeyValue(int tokens, MixedWorkspace& workspace) const;
  void AttendAll(const PackedBatch& batch, MixedWorkspace& workspace) const;
  void AttendSequence(int first, int length, MixedWorkspace& workspace) const;
  void AttendFloat(int first, int length, MixedWorkspace& workspace) const;
  void ConvertContext(int tokens, MixedWorkspace& workspace) const;
  void ProjectContext(int tokens, MixedWorkspace& workspace) const;
  void FeedForward(int tokens, MixedWorkspace& workspace) const;
  void FeedForwardUp(int tokens, int first, int columns, MixedWorkspace& workspace) const;
  void FeedForwardDown(int tokens, int first, int columns, MixedWorkspace& workspace) const;
  struct NormStep {
    const kernels::mixed::MixedLinear& linear;  // whose output and bias are added
    const Norm& norm;
    const float* factors;  // of the linear layer that takes the result, or null
  };
  void AddNorm(const NormStep& step, int tokens, MixedWorkspace& workspace) const;
  int low_offset(int columns) const { return kernels::mixed::LowOffset(format_, columns); }
  int attention_size() const { return config_.attention.num_heads * config_.attention.head_size; }

  const EncoderConfig config_;
  const kernels::mixed::Format format_;
  const kernels::mixed::Kernels& kernels_;
  const kernels::VectorKernels& float_kernels_;
  Norm attention_norm_, output_norm_;
  kernels::mixed::MixedLinear query_key_value_, attention_output_, up_, down_;
};

}  // namespace contexture::nn
