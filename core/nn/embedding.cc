#include "core/nn/embedding.h"

#include <cstring>

#include "core/nn/tensor_copy.h"

namespace contexture::nn {

Norm::Norm(const NormWeights& weights)
    : gamma(CopyTensor(weights.weight)), beta(CopyTensor(weights.bias)) {}

Embedding::Embedding(const EncoderConfig& config, const EncoderWeights& weights,
                     const kernels::VectorKernels& kernels)
    : config_(config),
      kernels_(kernels),
      tokens_(CopyTensor(weights.token_embedding)),
      positions_(CopyTensor(weights.position_embedding)),
      types_(CopyTensor(weights.type_embedding)),
      norm_(weights.embedding_norm) {
  if (config_.embedding_scale == 1.0f) return;
  for (size_t i = 0; i < tokens_.size(); ++i) tokens_[i] *= config_.embedding_scale;
}

void Embedding::Run(const PackedBatch& batch, float* hidden) const {
  for (int sequence = 0; sequence < batch.num_sequences(); ++sequence) {
    const uint32_t first = batch.offsets[sequence];
    for (int position = 0; position < batch.length(sequence); ++position) {
      const size_t token = first + position;
      const uint32_t type = batch.type_ids.empty() ? 0 : batch.type_ids[token];
      EmbedToken(batch.ids[token], type, position, hidden + token * config_.hidden_size);
    }
  }
}

void Embedding::EmbedToken(uint32_t id, uint32_t type, int position, float* output) const {
  const size_t size = config_.hidden_size;
  const float* token = tokens_.data() + id * size;
  const float* type_row = types_.size() == 0 ? nullptr : types_.data() + type * size;
  const float* position_row = positions_.size() == 0
                                  ? nullptr
                                  : positions_.data() + (config_.position.offset + position) * size;
  if (config_.embedding_norm) {
    kernels_.norm({token, type_row, position_row, norm_.gamma.data(), norm_.beta.data(), output, 1,
                   config_.hidden_size, config_.norm_epsilon});
  } else {
    kernels_.add({token, type_row, position_row, output, 1, config_.hidden_size});
  }
}

}  // namespace contexture::nn
