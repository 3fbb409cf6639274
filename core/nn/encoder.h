#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/nn/embedding.h"
#include "core/nn/encoder_layer.h"

namespace contexture::nn {

// A whole encoder in float: embedding, layers, optional final norm. Immutable, thread safe.
class Encoder {
 public:
  // Copies and packs the weights; their views may go afterwards. INTERNAL: oneDNN refuses.
  static absl::StatusOr<std::unique_ptr<Encoder>> Create(const EncoderConfig& config,
                                                         const EncoderWeights& weights,
                                                         kernels::LinearBackend backend, Isa isa);
  // Leaves the contextual vectors in workspace.hidden [tokens, hidden]. The batch holds at most
  // workspace.max_tokens tokens, its ids, type ids and lengths are in range.
  void Run(const PackedBatch& batch, Workspace& workspace) const;
  size_t weight_bytes() const;

 private:
  Encoder(const EncoderConfig& config, const EncoderWeights& weights, Isa isa);

  const EncoderConfig config_;
  const kernels::VectorKernels& kernels_;
  Embedding embedding_;
  std::vector<std::unique_ptr<EncoderLayer>> layers_;
  Norm final_norm_;
};

}  // namespace contexture::nn
