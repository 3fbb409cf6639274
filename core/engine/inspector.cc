#include "core/engine/inspector.h"

#include <cstring>
#include <vector>

#include "core/kernels/reference.h"

namespace contexture {
namespace {

InspectKind KindOf(nn::EmbeddingStep step) {
  switch (step) {
    case nn::EmbeddingStep::kTokens:
      return InspectKind::kTokenEmbeddings;
    case nn::EmbeddingStep::kScaled:
      return InspectKind::kScaledEmbeddings;
    case nn::EmbeddingStep::kPositions:
      return InspectKind::kPositionVectors;
    case nn::EmbeddingStep::kSum:
      return InspectKind::kEmbeddingSum;
    case nn::EmbeddingStep::kOutput:
      break;
  }
  return InspectKind::kEmbeddingOutput;
}

// Writes scores or weights [query_length, key_length] to DESTINATION.
void WriteMatrix(const kernels::AttentionArgs& args, InspectKind kind, char* destination) {
  for (int i = 0; i < args.query_length; ++i) {
    std::vector<double> weights;
    if (kind == InspectKind::kAttentionWeights) weights = kernels::reference::Weights(args, i);
    for (int j = 0; j < args.key_length; ++j) {
      const auto value =
          static_cast<float>(weights.empty() ? kernels::reference::Score(args, i, j) : weights[j]);
      std::memcpy(destination, &value, sizeof(value));
      destination += sizeof(value);
    }
  }
}

}  // namespace

bool Inspector::IsWanted(const InspectItem& item, InspectKind kind) const {
  return item.kind == kind && (!HasLayer(kind) || item.layer == layer_);
}

void Inspector::Copy(const InspectItem& item, const Rows& rows) const {
  const size_t bytes = InspectShapeOf(item, sizes_).columns * sizeof(float);
  for (int r = 0; r < rows.count; ++r) {
    std::memcpy(item.destination + (rows.first + r) * bytes, rows.data + r * rows.stride, bytes);
  }
}

void Inspector::CopyAll(InspectKind kind, const float* rows) const {
  for (const InspectItem& item : items_) {
    const auto stride = static_cast<size_t>(InspectShapeOf(item, sizes_).columns);
    if (IsWanted(item, kind)) Copy(item, {rows, stride, 0, sizes_.length});
  }
}

void Inspector::OnEmbedding(nn::EmbeddingStep step, const float* rows) {
  CopyAll(KindOf(step), rows);
}

void Inspector::OnAttention(int head, const kernels::AttentionArgs& args) {
  for (const InspectItem& item : items_) {
    if (HasHead(item.kind) && item.layer == layer_ && item.head == head) CopyHead(item, args);
  }
}

void Inspector::CopyHead(const InspectItem& item, const kernels::AttentionArgs& args) const {
  const auto stride = static_cast<size_t>(args.stride);
  const auto context_stride = static_cast<size_t>(args.context_stride);
  switch (item.kind) {
    case InspectKind::kQuery:
      return Copy(item, {args.query, stride, 0, args.query_length});
    case InspectKind::kKey:
      return Copy(item, {args.key, stride, 0, args.key_length});
    case InspectKind::kValue:
      return Copy(item, {args.value, stride, 0, args.key_length});
    case InspectKind::kContext:
      return Copy(item, {args.context, context_stride, 0, args.query_length});
    default:
      return WriteMatrix(args, item.kind, item.destination);
  }
}

void Inspector::OnAttentionOutput(int first, int rows, const float* hidden) {
  const auto stride = static_cast<size_t>(sizes_.config.hidden_size);
  for (const InspectItem& item : items_) {
    if (!IsWanted(item, InspectKind::kAttentionOutput)) continue;
    Copy(item, {hidden, stride, first, rows});
  }
}

void Inspector::OnLayerOutput(const float* hidden) { CopyAll(InspectKind::kLayerOutput, hidden); }

void Inspector::OnOutput(const float* hidden) { CopyAll(InspectKind::kOutput, hidden); }

}  // namespace contexture
