#pragma once

#include <cstdint>

#include "absl/types/span.h"

namespace contexture {

// Token sequences of any lengths laid end to end. There is no padding in this contract.
// Non-owning. Sequence i is ids[offsets[i] .. offsets[i + 1]).
struct PackedBatch {
  absl::Span<const uint32_t> ids = {};       // [tokens]
  absl::Span<const uint32_t> type_ids = {};  // [tokens], or empty: all 0
  absl::Span<const uint32_t> offsets = {};   // [sequences + 1], offsets[0] = 0, strictly increasing

  int num_sequences() const { return static_cast<int>(offsets.size()) - 1; }
  int num_tokens() const { return static_cast<int>(ids.size()); }
  int length(int sequence) const {
    return static_cast<int>(offsets[sequence + 1] - offsets[sequence]);
  }
};

}  // namespace contexture
