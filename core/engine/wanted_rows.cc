#include "core/engine/wanted_rows.h"

namespace contexture {
namespace {

struct Needs {
  bool first = false, last = false, every = false;
  bool masked = false;  // the tokens whose id is `token`
  uint32_t token = 0;
};

void AddHead(const HeadOutput& head, Needs& needs) {
  if (head.top_k > 0 && !(needs.masked && needs.token != head.token)) {
    needs.masked = true;
    needs.token = head.token;
  } else if (head.rows == HeadRows::kFirst) {
    needs.first = true;
  } else if (head.rows == HeadRows::kLast) {
    needs.last = true;
  } else {
    needs.every = true;
  }
}

Needs NeedsOf(absl::Span<const OutputSlot> slots) {
  Needs needs;
  for (const OutputSlot& slot : slots) {
    const bool pooled = slot.spec.kind == OutputKind::kPooled;
    if (slot.spec.kind == OutputKind::kHead) {
      AddHead(slot.spec.head, needs);
    } else if (pooled && slot.spec.pooling == PoolingKind::kCls) {
      needs.first = true;
    } else if (pooled && slot.spec.pooling == PoolingKind::kLast) {
      needs.last = true;
    } else {
      needs.every = true;
    }
  }
  return needs;
}

}  // namespace

WantedRows::WantedRows(int max_tokens) {
  rows_.reserve(max_tokens);
  offsets_.reserve(max_tokens + 1);
}

void WantedRows::Collect(const PackedBatch& batch, const OutputPlan& plan, int first) {
  rows_.clear();
  offsets_.assign(1, 0);
  for (int i = 0; i < batch.num_sequences(); ++i) {
    const uint32_t slot = plan.offsets[first + i];
    const Needs needs = NeedsOf(plan.slots.subspan(slot, plan.offsets[first + i + 1] - slot));
    const uint32_t end = batch.offsets[i + 1] - 1;
    for (uint32_t row = batch.offsets[i]; row <= end; ++row) {
      const bool wanted = needs.every || (needs.first && row == batch.offsets[i]) ||
                          (needs.last && row == end) ||
                          (needs.masked && batch.ids[row] == needs.token);
      if (wanted) rows_.push_back(row);
    }
    offsets_.push_back(static_cast<uint32_t>(rows_.size()));
  }
  // With nothing wanted at all, nothing is saved: the encoder takes no rows for all of them.
  all_ = rows_.empty() || rows_.size() == batch.ids.size();
}

}  // namespace contexture
