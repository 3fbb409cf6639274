#include "core/nn/embedding.h"

#include <cstring>
#include <vector>

#include "core/nn/tensor_copy.h"

namespace contexture::nn {

Norm::Norm(const NormWeights& weights)
    : gamma(CopyTensor(weights.weight)), beta(CopyTensor(weights.bias)) {
  if (beta.size() != gamma.size()) beta = AlignedBuffer<float>(gamma.size());
}

Embedding::Embedding(const EncoderConfig& config, const EncoderWeights& weights,
                     const kernels::VectorKernels& kernels)
    : config_(config),
      kernels_(kernels),
      tokens_(CopyTensor(weights.token_embedding)),
      types_(CopyTensor(weights.type_embedding)),
      positions_(MakePositionalEncoding(config, weights)),
      norm_(weights.embedding_norm) {
  if (config_.embedding_scale == 1.0f) return;
  for (size_t i = 0; i < tokens_.size(); ++i) tokens_[i] *= config_.embedding_scale;
}

void Embedding::Run(const PackedBatch& batch, float* hidden) const {
  for (int sequence = 0; sequence < batch.num_sequences(); ++sequence) {
    const size_t first = batch.offsets[sequence];
    EmbedSequence(batch, sequence, hidden + first * config_.hidden_size);
  }
}

void Embedding::Normalise(const Summands& sum, float* output, int rows) const {
  kernels_.norm({sum.token, sum.type, sum.position, norm_.gamma.data(), norm_.beta.data(), output,
                 rows, config_.hidden_size, config_.norm_epsilon});
}

void Embedding::EmbedSequence(const PackedBatch& batch, int sequence, float* output) const {
  const size_t size = config_.hidden_size;
  const int length = batch.length(sequence);
  // A table's rows are added, and the sum normed, in one pass over a token.
  const float* table = positions_->table();
  const bool norm = config_.embedding_norm && table != nullptr;
  for (int position = 0; position < length; ++position) {
    const size_t token = batch.offsets[sequence] + position;
    const uint32_t type = batch.type_ids.empty() ? 0 : batch.type_ids[token];
    const float* token_row = tokens_.data() + batch.ids[token] * size;
    const float* type_row = types_.size() == 0 ? nullptr : types_.data() + type * size;
    const float* position_row = table == nullptr ? nullptr : table + position * size;
    if (norm) {
      Normalise({token_row, type_row, position_row}, output + position * size, 1);
    } else {
      kernels_.add(
          {token_row, type_row, position_row, output + position * size, 1, config_.hidden_size});
    }
  }
  if (table != nullptr) return;
  positions_->AddToEmbeddings(output, length);
  if (config_.embedding_norm) Normalise({output, nullptr, nullptr}, output, length);
}

void Embedding::Show(const PackedBatch& batch, Observer& observer) const {
  const size_t size = config_.hidden_size;
  const size_t count = batch.num_tokens() * size;
  std::vector<float> scaled(count), tokens(count), positions(count), sum(count);
  for (size_t i = 0; i < count; ++i) {
    scaled[i] = tokens_[batch.ids[i / size] * size + i % size];
    tokens[i] = scaled[i] / config_.embedding_scale;
  }
  positions_->AddToEmbeddings(positions.data(), batch.num_tokens());
  for (size_t i = 0; i < count; ++i) {
    const uint32_t type = batch.type_ids.empty() ? 0 : batch.type_ids[i / size];
    const float type_element = types_.size() == 0 ? 0.0f : types_[type * size + i % size];
    sum[i] = scaled[i] + type_element + positions[i];
  }
  observer.OnEmbedding(EmbeddingStep::kTokens, tokens.data());
  observer.OnEmbedding(EmbeddingStep::kScaled, scaled.data());
  observer.OnEmbedding(EmbeddingStep::kPositions, positions.data());
  observer.OnEmbedding(EmbeddingStep::kSum, sum.data());
}

}  // namespace contexture::nn
