#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/engine/engine.h"
#include "core/text/tokenizer.h"

namespace contexture {

// What a LateInteractionConfig says, in ids of the model's tokenizer. Constant.
struct LateInteraction {
  LateInteractionConfig config;
  uint32_t expansion_id = 0;       // with an expansion
  std::vector<uint32_t> skiplist;  // ascending

  // The tokens of IDS that are scored, ascending.
  std::vector<uint32_t> ScoredTokens(const std::vector<uint32_t>& ids, InputRole role) const;
};

// TOKENIZER may be null. FAILED_PRECONDITION: the configuration needs a tokenizer and there is
// none, or the token that fills queries up is not known or not in its vocabulary.
absl::StatusOr<std::shared_ptr<const LateInteraction>> ResolveLateInteraction(
    const LateInteractionConfig& config, const TokenizerConfig& special, const Tokenizer* tokenizer,
    int vocabulary_size);

// Most tokens of an input of ROLE: MOST, what the model takes of any, unless the role has its own
// length, which is at most MAX_LENGTH.
int MostTokens(const LateInteractionConfig& config, InputRole role, int most, int max_length);

}  // namespace contexture
