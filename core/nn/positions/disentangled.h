#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/aligned_buffer.h"
#include "core/kernels/vector_kernels.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"

namespace contexture::nn {

struct LayerContext;

// The row of the table for a query that lies DISTANCE tokens after its key, clamped to the table
// (He et al. 2021, 3.1). Up to half of num_buckets each distance has a row, longer ones share rows
// by their logarithm, in float, as the models were trained.
int DisentangledRow(int distance, const DisentangledConfig& config);

// What the layers of a model share: the table of relative positions, normed where the model does,
// and which row a distance has. Immutable, thread safe.
class DisentangledPositions {
 public:
  // RELATIVE_EMBEDDING and its norm are copied from WEIGHTS.
  DisentangledPositions(const EncoderConfig& config, const EncoderWeights& weights,
                        const kernels::VectorKernels& kernels);

  const float* embedding() const { return embedding_.data(); }  // [num_rows, hidden]
  // For kernels::RelativeScores, for distances below EncoderConfig::max_length.
  const int32_t* rows() const { return rows_.data() + middle_; }
  const int32_t* tile_offsets() const { return tile_offsets_.data() + middle_; }
  size_t bytes() const;

 private:
  AlignedBuffer<float> embedding_;
  const int middle_;
  std::vector<int32_t> rows_, tile_offsets_;
};

// The position keys and queries of a layer: the table's rows, projected. Immutable, thread safe.
class DisentangledProjections {
 public:
  // CONTEXT.disentangled is not null. Codes: those of kernels::MakeLinear.
  static absl::StatusOr<std::unique_ptr<DisentangledProjections>> Create(
      const LayerContext& context, const LayerWeights& weights);

  kernels::RelativeScores Head(int head) const;
  size_t bytes() const { return keys_.bytes() + queries_.bytes(); }

 private:
  explicit DisentangledProjections(const LayerContext& context);
  void SetKeys(const AlignedBuffer<float>& projected);

  const DisentangledPositions& positions_;
  const int num_rows_, head_size_, query_size_;
  const int key_stride_;          // num_rows rounded up
  AlignedBuffer<float> keys_;     // [heads * head_size, key_stride] or empty
  AlignedBuffer<float> queries_;  // [num_rows, heads * head_size] or empty
};

}  // namespace contexture::nn
