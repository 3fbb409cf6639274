#include "core/engine/wanted_rows.h"

#include <algorithm>

namespace contexture {

WantedRows::WantedRows(int max_tokens) {
  rows_.reserve(max_tokens);
  offsets_.reserve(max_tokens + 1);
  wanted_.reserve(max_tokens);
}

void WantedRows::Mark(PoolingKind pooling, uint32_t begin, uint32_t end) {
  if (pooling == PoolingKind::kCls) end = begin + 1;
  if (pooling == PoolingKind::kLast) begin = end - 1;
  std::fill(wanted_.begin() + begin, wanted_.begin() + end, 1);
}

void WantedRows::MarkHead(const HeadOutput& head, absl::Span<const uint32_t> ids) {
  if (head.top_k > 0) {
    for (size_t i = 0; i < ids.size(); ++i) wanted_[i] |= ids[i] == head.token ? 1 : 0;
    return;
  }
  const PoolingKind rows = head.rows == HeadRows::kFirst  ? PoolingKind::kCls
                           : head.rows == HeadRows::kLast ? PoolingKind::kLast
                                                          : PoolingKind::kMean;
  Mark(rows, 0, static_cast<uint32_t>(ids.size()));
}

void WantedRows::Mark(const OutputSlot& slot, absl::Span<const uint32_t> ids) {
  const auto length = static_cast<uint32_t>(ids.size());
  switch (slot.spec.kind) {
    case OutputKind::kPooled:
      return Mark(slot.spec.pooling, 0, length);
    case OutputKind::kTokens:
      return Mark(PoolingKind::kMean, 0, length);
    case OutputKind::kHead:
      for (uint32_t token : slot.tokens) wanted_[token] = 1;
      if (HasChosenRows(slot.spec)) return;
      return MarkHead(slot.spec.head, ids);
    case OutputKind::kSpans:
      for (size_t i = 0; i < slot.span_begins.size(); ++i) {
        Mark(slot.spec.pooling, slot.span_begins[i], slot.span_ends[i]);
      }
  }
}

void WantedRows::Collect(const PackedBatch& batch, const OutputPlan& plan, int first, int layer) {
  rows_.clear();
  offsets_.assign(1, 0);
  for (int i = 0; i < batch.num_sequences(); ++i) {
    const auto ids = batch.ids.subspan(batch.offsets[i], batch.offsets[i + 1] - batch.offsets[i]);
    wanted_.assign(ids.size(), 0);
    for (uint32_t s = plan.offsets[first + i]; s < plan.offsets[first + i + 1]; ++s) {
      if (plan.slots[s].spec.layer == layer) Mark(plan.slots[s], ids);
    }
    for (uint32_t token = 0; token < wanted_.size(); ++token) {
      if (wanted_[token] != 0) rows_.push_back(batch.offsets[i] + token);
    }
    offsets_.push_back(static_cast<uint32_t>(rows_.size()));
  }
  // With nothing wanted at all, nothing is saved: the encoder takes no rows for all of them.
  all_ = rows_.empty() || rows_.size() == batch.ids.size();
}

}  // namespace contexture
