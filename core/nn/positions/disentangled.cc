#include "core/nn/positions/disentangled.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "core/base/status_macros.h"
#include "core/nn/float_parts.h"
#include "core/nn/kernel_types.h"
#include "core/nn/norm.h"
#include "core/nn/tensor_copy.h"

namespace contexture::nn {
namespace {

constexpr int kMaxLanes = 16;

float Log(float x) { return static_cast<float>(std::log(static_cast<double>(x))); }

int Bucket(int distance, const DisentangledConfig& config) {
  const int middle = config.num_buckets / 2;
  const int length = std::abs(distance);
  if (config.num_buckets == 0 || length <= middle) return distance;
  const auto at_most = static_cast<float>(static_cast<double>(config.max_distance - 1) / middle);
  const float position = Log(static_cast<float>(length) / static_cast<float>(middle)) /
                         Log(at_most) * static_cast<float>(middle - 1);
  const int bucket = static_cast<int>(std::ceil(position)) + middle;
  return distance < 0 ? -bucket : bucket;
}

absl::StatusOr<AlignedBuffer<float>> Project(const LayerContext& context,
                                             const LinearWeights& weights) {
  const int hidden = context.config.hidden_size;
  const int out = context.config.attention.query_size();
  const int rows = context.config.attention.disentangled.num_rows;
  CTX_ASSIGN_OR_RETURN(
      const auto linear,
      MakeFloatLinear(context, {hidden, out, kernels::Epilogue::kBias}, {ToPart(weights)}));
  AlignedBuffer<float> projected(static_cast<size_t>(rows) * out);
  linear->Run(context.disentangled->embedding(), rows, projected.data());
  return projected;
}

}  // namespace

int DisentangledRow(int distance, const DisentangledConfig& config) {
  return std::clamp(Bucket(distance, config) + config.num_rows / 2, 0, config.num_rows - 1);
}

DisentangledPositions::DisentangledPositions(const EncoderConfig& config,
                                             const EncoderWeights& weights,
                                             const kernels::VectorKernels& kernels)
    : embedding_(CopyTensor(weights.relative_embedding)), middle_(config.max_length - 1) {
  const DisentangledConfig& disentangled = config.attention.disentangled;
  if (disentangled.norm) {
    Normalise(
        kernels, config, Norm(weights.relative_embedding_norm),
        {.input = embedding_.data(), .output = embedding_.data(), .rows = disentangled.num_rows});
  }
  // The kernels read whole vectors.
  for (int d = -middle_; d <= middle_ + kMaxLanes; ++d) {
    rows_.push_back(DisentangledRow(-d, disentangled));
    tile_offsets_.push_back(rows_.back() * kernels::kRelativeTile + d);
  }
}

size_t DisentangledPositions::bytes() const {
  return embedding_.bytes() + (rows_.size() + tile_offsets_.size()) * sizeof(int32_t);
}

DisentangledProjections::DisentangledProjections(const LayerContext& context)
    : positions_(*context.disentangled),
      num_rows_(context.config.attention.disentangled.num_rows),
      head_size_(context.config.attention.head_size),
      query_size_(context.config.attention.query_size()),
      key_stride_((num_rows_ + kMaxLanes - 1) / kMaxLanes * kMaxLanes) {}

absl::StatusOr<std::unique_ptr<DisentangledProjections>> DisentangledProjections::Create(
    const LayerContext& context, const LayerWeights& weights) {
  const DisentangledConfig& config = context.config.attention.disentangled;
  std::unique_ptr<DisentangledProjections> layer(new DisentangledProjections(context));
  if (config.content_to_position) {
    CTX_ASSIGN_OR_RETURN(
        const auto keys,
        Project(context, config.shared_projections ? weights.key : weights.position_key));
    layer->SetKeys(keys);
  }
  if (config.position_to_content) {
    CTX_ASSIGN_OR_RETURN(
        layer->queries_,
        Project(context, config.shared_projections ? weights.query : weights.position_query));
  }
  return layer;
}

void DisentangledProjections::SetKeys(const AlignedBuffer<float>& projected) {
  keys_ = AlignedBuffer<float>(static_cast<size_t>(query_size_) * key_stride_);
  for (int row = 0; row < num_rows_; ++row) {
    for (int i = 0; i < query_size_; ++i) {
      keys_[static_cast<size_t>(i) * key_stride_ + row] =
          projected[static_cast<size_t>(row) * query_size_ + i];
    }
  }
}

kernels::RelativeScores DisentangledProjections::Head(int head) const {
  const size_t first = static_cast<size_t>(head) * head_size_;
  return {.keys = keys_.size() == 0 ? nullptr : keys_.data() + first * key_stride_,
          .key_stride = key_stride_,
          .queries = queries_.size() == 0 ? nullptr : queries_.data() + first,
          .query_stride = query_size_,
          .num_rows = num_rows_,
          .rows = positions_.rows(),
          .tile_offsets = positions_.tile_offsets()};
}

}  // namespace contexture::nn
