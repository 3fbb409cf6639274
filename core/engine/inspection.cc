#include "core/engine/inspection.h"

namespace contexture {

bool HasHead(InspectKind kind) {
  switch (kind) {
    case InspectKind::kQuery:
    case InspectKind::kKey:
    case InspectKind::kValue:
    case InspectKind::kScores:
    case InspectKind::kAttentionWeights:
    case InspectKind::kContext:
      return true;
    default:
      return false;
  }
}

bool HasLayer(InspectKind kind) {
  return HasHead(kind) || kind == InspectKind::kAttentionOutput ||
         kind == InspectKind::kLayerOutput;
}

InspectShape InspectShapeOf(const InspectItem& item, const InspectSizes& sizes) {
  switch (item.kind) {
    case InspectKind::kScores:
    case InspectKind::kAttentionWeights:
      return {sizes.length, sizes.length};
    case InspectKind::kPositionMatrix:
      return {item.num_positions, sizes.position_columns};
    case InspectKind::kTokenEmbeddings:
    case InspectKind::kScaledEmbeddings:
    case InspectKind::kPositionVectors:
    case InspectKind::kEmbeddingSum:
      return {sizes.length, sizes.config.embedding.projection ? sizes.config.embedding.size
                                                              : sizes.config.hidden_size};
    default:
      return {sizes.length,
              HasHead(item.kind) ? sizes.config.attention.head_size : sizes.config.hidden_size};
  }
}

}  // namespace contexture
