#pragma once

#include <cstdint>

#include "absl/types/span.h"

namespace contexture {

// Token sequences of any lengths laid end to end. There is no padding in this contract.
// Non-owning. Sequence i is ids[offsets[i] .. offsets[i + 1]). For a model with a decoder these are
// the sources, and sequence i has the target target_ids[target_offsets[i] .. target_offsets[i +
// 1]).
struct PackedBatch {
  absl::Span<const uint32_t> ids = {};       // [tokens]
  absl::Span<const uint32_t> type_ids = {};  // [tokens], or empty: all 0
  absl::Span<const uint32_t> offsets = {};   // [sequences + 1], offsets[0] = 0, strictly increasing
  // [tokens], or empty: 0, 1, 2, ... in each sequence. For sparse positions alone.
  absl::Span<const uint32_t> positions = {};
  // [sequences], or empty: all. How many of its first tokens the tokens of a sequence attend to, up
  // to its length; 0: all. Of models without a decoder.
  absl::Span<const uint32_t> attended = {};
  absl::Span<const uint32_t> target_ids = {};      // [target tokens]
  absl::Span<const uint32_t> target_offsets = {};  // as offsets

  int num_sequences() const { return static_cast<int>(offsets.size()) - 1; }
  int num_tokens() const { return static_cast<int>(ids.size()); }
  // Whose vectors are the result.
  absl::Span<const uint32_t> output_ids() const {
    return target_offsets.empty() ? ids : target_ids;
  }
  absl::Span<const uint32_t> output_offsets() const {
    return target_offsets.empty() ? offsets : target_offsets;
  }
  int length(int sequence) const {
    return static_cast<int>(offsets[sequence + 1] - offsets[sequence]);
  }
  // Tokens of a sequence that are attended to.
  int num_keys(int sequence) const {
    return attended.empty() || attended[sequence] == 0 ? length(sequence)
                                                       : static_cast<int>(attended[sequence]);
  }
};

}  // namespace contexture
