#pragma once

#include <cstddef>

#include "absl/types/span.h"
#include "core/engine/inspection.h"
#include "core/nn/observer.h"

namespace contexture {

// Copies the wanted items out of a running computation. The score and weight matrices, which the
// kernels never hold as a whole, are computed from the queries and keys that the kernel was given.
class Inspector final : public nn::Observer {
 public:
  // ITEMS in range, all but position matrices, of a sequence of sizes.length tokens.
  Inspector(const InspectSizes& sizes, absl::Span<const InspectItem> items)
      : sizes_(sizes), items_(items) {}

  void OnEmbedding(nn::EmbeddingStep step, const float* rows) override;
  void BeginLayer(int layer) override { layer_ = layer; }
  void OnAttention(int head, const kernels::AttentionArgs& args) override;
  void OnAttentionOutput(int first, int rows, const float* hidden) override;
  void OnLayerOutput(const float* hidden) override;
  // The encoder's result, [tokens, hidden].
  void OnOutput(const float* hidden);

 private:
  // Rows of a result that lie STRIDE floats apart.
  struct Rows {
    const float* data;
    size_t stride;
    int first;  // of the item's rows
    int count;
  };
  void Copy(const InspectItem& item, const Rows& rows) const;
  void CopyAll(InspectKind kind, const float* rows) const;
  void CopyHead(const InspectItem& item, const kernels::AttentionArgs& args) const;
  bool IsWanted(const InspectItem& item, InspectKind kind) const;

  const InspectSizes sizes_;
  const absl::Span<const InspectItem> items_;
  int layer_ = 0;
};

}  // namespace contexture
