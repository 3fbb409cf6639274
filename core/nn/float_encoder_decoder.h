#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/nn/embedding.h"
#include "core/nn/encoder.h"
#include "core/nn/float_decoder_layer.h"

namespace contexture::nn {

// The Transformer's encoder and decoder in float (Vaswani et al. 2017): the source goes through the
// encoder, the target through the decoder over its output. The result is the target's contextual
// vectors; nothing is generated.
class FloatEncoderDecoder : public Encoder {
 public:
  // Of a config with decoder layers. Copies and packs the weights. Codes: FloatEncoder's.
  static absl::StatusOr<std::unique_ptr<Encoder>> Create(const EncoderConfig& config,
                                                         const EncoderWeights& weights,
                                                         kernels::LinearBackend backend, Isa isa);
  std::unique_ptr<Workspace> NewWorkspace(int max_tokens) const override;
  // BATCH has a target for each sequence; ROWS and the vectors are of the targets' tokens.
  void Run(const PackedBatch& batch, absl::Span<const uint32_t> rows,
           Workspace& workspace) const override;
  size_t weight_bytes() const override;
  const PositionalEncoding& positions() const override { return encoder_->positions(); }

 private:
  FloatEncoderDecoder(const EncoderConfig& config, const EncoderWeights& weights,
                      std::unique_ptr<Encoder> encoder, Isa isa);

  const EncoderConfig config_;  // the decoder's: causal, of the target's vocabulary
  const kernels::VectorKernels& kernels_;
  const std::unique_ptr<Encoder> encoder_;
  const Embedding embedding_;  // of the target
  std::vector<std::unique_ptr<FloatDecoderLayer>> layers_;
  Norm final_norm_;
};

}  // namespace contexture::nn
