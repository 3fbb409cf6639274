#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "core/model/encoder_config.h"

namespace contexture {

// The intermediate results that can be seen; contexture.v1.InspectKind describes each.
enum class InspectKind : uint8_t {
  kTokenEmbeddings,
  kScaledEmbeddings,
  kPositionVectors,
  kEmbeddingSum,
  kEmbeddingOutput,
  kQuery,
  kKey,
  kValue,
  kScores,
  kAttentionWeights,
  kContext,
  kAttentionOutput,
  kLayerOutput,
  kOutput,
  kPositionMatrix,
};

// One result that is wanted, and where it goes.
struct InspectItem {
  InspectKind kind = InspectKind::kOutput;
  int layer = 0;                // of kinds with a layer
  int head = 0;                 // of kinds with a head
  int num_positions = 0;        // kPositionMatrix: its rows
  char* destination = nullptr;  // float32 [rows, columns] of InspectShapeOf, any alignment
};

bool HasLayer(InspectKind kind);
bool HasHead(InspectKind kind);

struct InspectShape {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t bytes() const { return rows * columns * static_cast<int64_t>(sizeof(float)); }
};
// What an item is measured by.
struct InspectSizes {
  const EncoderConfig& config;
  int position_columns = 0;  // EngineInfo::position_columns
  int length = 0;            // tokens of the sequence
};
InspectShape InspectShapeOf(const InspectItem& item, const InspectSizes& sizes);

}  // namespace contexture
