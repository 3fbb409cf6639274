#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/nn/convolution.h"
#include "core/nn/embedding.h"
#include "core/nn/encoder.h"
#include "core/nn/float_layer.h"

namespace contexture::nn {

// Precision f32: oneDNN linears and the float kernels of the instruction set.
class FloatEncoder : public Encoder {
 public:
  // Copies and packs the weights; their views may go afterwards. INTERNAL: oneDNN refuses.
  static absl::StatusOr<std::unique_ptr<Encoder>> Create(const EncoderConfig& config,
                                                         const EncoderWeights& weights,
                                                         kernels::LinearBackend backend, Isa isa);
  std::unique_ptr<Workspace> NewWorkspace(int max_tokens) const override;
  void Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
           Workspace& workspace) const override;
  size_t weight_bytes() const override;
  const PositionalEncoding& positions() const override { return embedding_.positions(); }
  bool observable() const override { return true; }

 private:
  // Whose code computes.
  struct Backend {
    kernels::LinearBackend linear;
    Isa isa;
  };
  FloatEncoder(const EncoderConfig& config, const EncoderWeights& weights, const Backend& backend);
  absl::Status Init(const EncoderWeights& weights);
  LayerContext Context(int layer) const;
  void Embed(const PackedBatch& batch, FloatWorkspace& workspace) const;

  const EncoderConfig config_;
  const Backend backend_;
  const kernels::VectorKernels& kernels_;
  Embedding embedding_;
  std::unique_ptr<const PositionalEncoding> local_positions_;  // null: the same as all others'
  std::unique_ptr<const RelativeBias> relative_bias_;          // null: none
  std::unique_ptr<const DisentangledPositions> disentangled_;  // null: none
  std::unique_ptr<const Convolution> convolution_;             // null: none
  std::unique_ptr<kernels::Linear> projection_;                // of the embedding; null: none
  std::vector<std::unique_ptr<FloatLayer>> layers_;            // [num_layer_weights]
  Norm final_norm_;
};

}  // namespace contexture::nn
