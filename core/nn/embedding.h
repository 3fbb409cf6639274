#pragma once

#include <memory>

#include "core/base/aligned_buffer.h"
#include "core/kernels/vector_kernels.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/nn/norm.h"
#include "core/nn/observer.h"
#include "core/nn/positions/positional_encoding.h"
#include "core/tensor/packed_batch.h"

namespace contexture::nn {

// token embedding * scale + position embedding + type embedding, then a norm where the model has
// one (BERT: Devlin et al. 2019; the scale sqrt(d_model): Vaswani et al. 2017, 3.4). Immutable,
// thread safe.
class Embedding {
 public:
  Embedding(const EncoderConfig& config, const EncoderWeights& weights,
            const kernels::VectorKernels& kernels);
  // Writes hidden [tokens, embedding size] of a batch whose ids, type ids and lengths are in range.
  void Run(const PackedBatch& batch, float* hidden) const;
  // Shows the steps before kOutput of a batch of one sequence. Computes them apart from Run, which
  // fuses them; allocates.
  void Show(const PackedBatch& batch, Observer& observer) const;
  // Also acts on queries, keys and scores, in the layers.
  const PositionalEncoding& positions() const { return *positions_; }
  size_t weight_bytes() const {
    return tokens_.bytes() + positions_->bytes() + types_.bytes() + padding_position_.bytes();
  }

 private:
  void EmbedSequence(const PackedBatch& batch, int sequence, float* output) const;
  // The row of the position table for a token; NEXT is the position of the next one that has its
  // own.
  const float* PositionRow(const PackedBatch& batch, size_t token, size_t& next) const;
  // OUTPUT [length, size] grows by the vectors of the sequence's positions.
  void AddPositions(const PackedBatch& batch, int sequence, float* output) const;
  struct Summands {  // rows; the last two may be null
    const float* token;
    const float* type;
    const float* position;
  };
  void Normalise(const Summands& sum, float* output, int rows) const;
  // EmbeddingConfig::mask_token's rule over a sequence's scaled token embeddings.
  void WeighMasks(absl::Span<const uint32_t> ids, float* output) const;

  const EncoderConfig config_;
  const kernels::VectorKernels& kernels_;
  AlignedBuffer<float> tokens_;  // [vocabulary, size], already scaled
  AlignedBuffer<float> types_;   // [types, size] or empty
  std::unique_ptr<const PositionalEncoding> positions_;
  // Where positions begin after row padding_idx of the table (RoBERTa): tokens of that id have this
  // row, and the others are counted without them. Empty: all tokens are counted.
  AlignedBuffer<float> padding_position_;  // [size]
  uint32_t padding_token_ = 0;
  Norm norm_;
};

}  // namespace contexture::nn
