#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/kernels/mixed_linear.h"
#include "core/nn/embedding.h"
#include "core/nn/encoder.h"
#include "core/nn/mixed_layer.h"

namespace contexture::nn {

// Precisions bf16, int8 and f32-split: own kernels, activations between them as `Format` says.
// Attention runs in bfloat16 where AttendsInBf16, else in float.
class MixedEncoder : public Encoder {
 public:
  // Whether Create can: the statuses below.
  static absl::Status Check(const EncoderConfig& config, kernels::mixed::Format format);
  // The same on a CPU that has the instructions.
  static absl::Status CheckModel(const EncoderConfig& config);
  // `ranges` are for kInt8, which is less exact without them.
  // FAILED_PRECONDITION: the CPU lacks the instructions, or the model has a part that these kernels
  // do not compute (the message names it). INTERNAL: oneDNN refuses.
  static absl::StatusOr<std::unique_ptr<Encoder>> Create(const EncoderConfig& config,
                                                         const EncoderWeights& weights,
                                                         kernels::mixed::Format format,
                                                         const ActivationRanges& ranges = {});
  std::unique_ptr<Workspace> NewWorkspace(int max_tokens) const override;
  void Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
           Workspace& workspace) const override;
  size_t weight_bytes() const override;
  const PositionalEncoding& positions() const override { return embedding_.positions(); }

 private:
  MixedEncoder(const EncoderConfig& config, const EncoderWeights& weights,
               kernels::mixed::Format format, const ActivationRanges& ranges);
  MixedContext Context(int layer) const;
  // From the batch's ids to workspace.hidden and the first layer's input.
  void Embed(const PackedBatch& batch, MixedWorkspace& workspace) const;
  void Tap(int layers, MixedWorkspace& workspace) const;
  // A block of workspace.embedded to workspace.hidden.
  void ProjectEmbedding(const MixedBlock& block, MixedWorkspace& workspace) const;
  const MixedLayer& layer(int i) const {
    return *layers_[i / (config_.num_layers / config_.num_layer_weights)];
  }

  const EncoderConfig config_;
  const kernels::mixed::Format format_;
  const kernels::mixed::Kernels& kernels_;
  Embedding embedding_;
  std::unique_ptr<const PositionalEncoding> local_positions_;      // null: the same as all others'
  std::unique_ptr<const RelativeBias> relative_bias_;              // null: none
  std::unique_ptr<const DisentangledPositions> disentangled_;      // null: none
  std::unique_ptr<const kernels::mixed::MixedLinear> projection_;  // of the embedding; null: none
  std::vector<std::unique_ptr<MixedLayer>> layers_;                // [num_layer_weights]
  Norm final_norm_;
};

}  // namespace contexture::nn
