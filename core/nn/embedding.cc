#include "core/nn/embedding.h"

#include <algorithm>
#include <vector>

#include "core/nn/tensor_copy.h"

namespace contexture::nn {

namespace {

TensorView RowOf(const TensorView& table, int row) {
  TensorView view = table;
  view.shape = {1, table.shape[1]};
  view.data = static_cast<const char*>(table.data) + row * view.num_bytes();
  return view;
}

}  // namespace

Embedding::Embedding(const EncoderConfig& config, const EncoderWeights& weights,
                     const kernels::VectorKernels& kernels)
    : config_(config),
      kernels_(kernels),
      tokens_(CopyTensor(weights.token_embedding)),
      types_(CopyTensor(weights.type_embedding)),
      positions_(MakePositionalEncoding(config, weights)),
      norm_(weights.embedding_norm, config.norm_weight_offset) {
  const int offset = config.position.offset;
  if (config.position.kind == PositionKind::kLearned && offset > 0) {
    padding_token_ = static_cast<uint32_t>(offset) - 1;
    padding_position_ = CopyTensor(RowOf(weights.position_embedding, offset - 1));
  }
  if (config_.embedding.scale == 1.0f) return;
  for (size_t i = 0; i < tokens_.size(); ++i) tokens_[i] *= config_.embedding.scale;
}

void Embedding::Run(const PackedBatch& batch, float* hidden) const {
  for (int sequence = 0; sequence < batch.num_sequences(); ++sequence) {
    const size_t first = batch.offsets[sequence];
    EmbedSequence(batch, sequence, hidden + first * config_.embedding.size);
  }
}

void Embedding::Normalise(const Summands& sum, float* output, int rows) const {
  nn::Normalise(kernels_, config_, norm_,
                {.input = sum.token,
                 .bias = sum.type,
                 .residual = sum.position,
                 .output = output,
                 .rows = rows});
}

void Embedding::WeighMasks(absl::Span<const uint32_t> ids, float* output) const {
  const size_t size = config_.embedding.size;
  const auto mask = static_cast<uint32_t>(config_.embedding.mask_token);
  const auto masks = static_cast<float>(std::count(ids.begin(), ids.end(), mask));
  if (masks == 0.0f) return;
  const float weight = 1.0f / (1.0f - masks / static_cast<float>(ids.size()));
  for (size_t i = 0; i < ids.size(); ++i) {
    float* row = output + i * size;
    for (size_t c = 0; c < size; ++c) row[c] = ids[i] == mask ? 0.0f : row[c] * weight;
  }
}

const float* Embedding::PositionRow(const PackedBatch& batch, size_t token, size_t& next) const {
  const bool counted = padding_position_.size() == 0 || batch.ids[token] != padding_token_;
  if (!counted) return padding_position_.data();
  const size_t place = next++;
  return positions_->table() + (batch.positions.empty() ? place : batch.positions[token]) *
                                   static_cast<size_t>(config_.embedding.size);
}

void Embedding::EmbedSequence(const PackedBatch& batch, int sequence, float* output) const {
  const size_t size = config_.embedding.size;
  const int length = batch.length(sequence);
  const bool masks = config_.embedding.mask_token >= 0;
  // A table's rows are added, and the sum normed, in one pass over a token.
  const float* table = masks ? nullptr : positions_->table();
  const bool norm = config_.embedding.norm && table != nullptr;
  size_t next = 0;
  for (int position = 0; position < length; ++position) {
    const size_t token = batch.offsets[sequence] + position;
    const uint32_t type = batch.type_ids.empty() ? 0 : batch.type_ids[token];
    const float* token_row = tokens_.data() + batch.ids[token] * size;
    const float* type_row = types_.size() == 0 ? nullptr : types_.data() + type * size;
    const float* position_row = table == nullptr ? nullptr : PositionRow(batch, token, next);
    if (norm) {
      Normalise({token_row, type_row, position_row}, output + position * size, 1);
    } else {
      kernels_.add(
          {token_row, type_row, position_row, output + position * size, 1, static_cast<int>(size)});
    }
  }
  if (table != nullptr) return;
  if (masks) WeighMasks(batch.ids.subspan(batch.offsets[sequence], length), output);
  AddPositions(batch, sequence, output);
  if (config_.embedding.norm) Normalise({output, nullptr, nullptr}, output, length);
}

void Embedding::AddPositions(const PackedBatch& batch, int sequence, float* output) const {
  const int length = batch.length(sequence);
  if (padding_position_.size() > 0) {
    const size_t size = config_.embedding.size;
    size_t next = 0;
    for (int i = 0; i < length; ++i) {
      const float* row = PositionRow(batch, batch.offsets[sequence] + i, next);
      for (size_t c = 0; c < size; ++c) output[i * size + c] += row[c];
    }
    return;
  }
  if (batch.positions.empty()) return positions_->AddToEmbeddings(output, length);
  positions_->AddAtPositions(batch.positions.subspan(batch.offsets[sequence], length), output);
}

void Embedding::Show(const PackedBatch& batch, Observer& observer) const {
  const size_t size = config_.embedding.size;
  const size_t count = batch.num_tokens() * size;
  std::vector<float> scaled(count), tokens(count), positions(count), sum(count);
  for (size_t i = 0; i < count; ++i) {
    scaled[i] = tokens_[batch.ids[i / size] * size + i % size];
    tokens[i] = scaled[i] / config_.embedding.scale;
  }
  if (config_.embedding.mask_token >= 0) WeighMasks(batch.ids, scaled.data());
  AddPositions(batch, 0, positions.data());
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
