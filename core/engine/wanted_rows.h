#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/engine/output_plan.h"
#include "core/tensor/packed_batch.h"

namespace contexture {

// Which token vectors of a batch its outputs are made of: of a sequence that is pooled by its first
// or last token alone, or has a head on some, those; of one with spans, their tokens; of another,
// all. Reused from batch to batch, so that collecting allocates nothing once the capacity is there.
// Not thread safe.
class WantedRows {
 public:
  explicit WantedRows(int max_tokens);
  // The batch is sequences [first, first + batch.num_sequences()) of the plan. Of its outputs those
  // of LAYER count.
  void Collect(const PackedBatch& batch, const OutputPlan& plan, int first, int layer);

  // Ascending tokens of the batch; empty when all are wanted.
  absl::Span<const uint32_t> rows() const {
    return all_ ? absl::Span<const uint32_t>() : absl::MakeConstSpan(rows_);
  }
  // Where the wanted rows of sequence i begin among all wanted ones; they end at begin(i + 1).
  uint32_t begin(int sequence) const { return offsets_[sequence]; }
  // The token of the batch that wanted row ROW is of.
  uint32_t token(uint32_t row) const { return rows_[row]; }

 private:
  // What an output needs of the sequence whose tokens `wanted_` is of.
  void Mark(const OutputSlot& slot, absl::Span<const uint32_t> ids);
  void MarkHead(const HeadOutput& head, absl::Span<const uint32_t> ids);
  void Mark(PoolingKind pooling, uint32_t begin, uint32_t end);

  bool all_ = true;
  std::vector<uint32_t> rows_;
  std::vector<uint32_t> offsets_;
  std::vector<uint8_t> wanted_;  // of a sequence's tokens
};

}  // namespace contexture
