#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/kernels/linear.h"
#include "core/kernels/vector_kernels.h"
#include "core/model/encoder_config.h"
#include "core/model/encoder_weights.h"
#include "core/nn/norm.h"

namespace contexture::nn {

// A head in float: W norm(activation(D x + d)) + b over rows of token vectors, see HeadConfig. A
// row's results depend on that row alone. W is kept in tiles of output columns, so that the scores
// of a large vocabulary need not lie in memory at once. Immutable, thread safe.
class Head {
 public:
  // Output columns of a tile, but for the last one.
  static constexpr int kTileColumns = 4096;

  // Packs WEIGHTS, whose views may go afterwards. Codes: those of kernels::MakeLinear.
  static absl::StatusOr<std::unique_ptr<Head>> Create(const EncoderConfig& config,
                                                      const HeadConfig& head,
                                                      const HeadWeights& weights,
                                                      kernels::LinearBackend backend, Isa isa);

  int hidden_size() const { return hidden_size_; }
  int features() const { return features_; }
  int num_outputs() const { return num_outputs_; }
  int num_tiles() const { return static_cast<int>(tiles_.size()); }
  int tile_begin(int tile) const { return tile * kTileColumns; }
  int tile_columns(int tile) const { return tile_columns_[tile]; }

  // What comes before W, of INPUT [rows, hidden], in OUTPUT [rows, features], which must not
  // overlap it.
  void Transform(const float* input, int rows, float* output) const;
  // The outputs [rows, tile_columns(tile)] of one tile from what Transform wrote.
  void RunTile(int tile, const float* transformed, int rows, float* outputs) const;
  size_t weight_bytes() const;

 private:
  Head(const EncoderConfig& config, const HeadConfig& head, const HeadWeights& weights, Isa isa);
  absl::Status Init(const HeadWeights& weights, kernels::LinearBackend backend, Isa isa);

  const HeadConfig config_;
  const int hidden_size_, features_, num_outputs_;
  const float epsilon_;
  const kernels::VectorKernels& kernels_;
  const Norm norm_;
  std::unique_ptr<kernels::Linear> dense_;  // null: none
  std::vector<std::unique_ptr<kernels::Linear>> tiles_;
  std::vector<int> tile_columns_;
};

}  // namespace contexture::nn
