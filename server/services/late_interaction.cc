#include "server/services/late_interaction.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace contexture {
namespace {

// As transformers' tokenizers have it: the mask token of encoders, the end of text of decoders.
absl::StatusOr<uint32_t> ExpansionId(const QueryExpansion& expansion,
                                     const TokenizerConfig& special, const Tokenizer& tokenizer) {
  const std::string& token = !expansion.token.empty() ? expansion.token
                             : !special.mask.empty()  ? special.mask
                                                      : special.end;
  if (token.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("queries are filled up to ", expansion.length,
                     " tokens, but tokenizer_config.json names neither 'mask_token' nor "
                     "'eos_token'"));
  }
  const int64_t id = tokenizer.TokenId(token);
  if (id >= 0) return static_cast<uint32_t>(id);
  return absl::FailedPreconditionError(absl::StrCat("queries are filled up with the token '", token,
                                                    "', which tokenizer.json does not have"));
}

}  // namespace

std::vector<uint32_t> LateInteraction::ScoredTokens(const std::vector<uint32_t>& ids,
                                                    InputRole role) const {
  const bool skips = role == InputRole::kQuery ? config.skips_query : config.skips_document;
  std::vector<uint32_t> tokens;
  tokens.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    if (skips && std::binary_search(skiplist.begin(), skiplist.end(), ids[i])) continue;
    tokens.push_back(static_cast<uint32_t>(i));
  }
  return tokens;
}

absl::StatusOr<std::shared_ptr<const LateInteraction>> ResolveLateInteraction(
    const LateInteractionConfig& config, const TokenizerConfig& special, const Tokenizer* tokenizer,
    int vocabulary_size) {
  auto resolved = std::make_shared<LateInteraction>();
  resolved->config = config;
  if (tokenizer == nullptr) {
    if (config.expansion.length == 0 && config.skiplist.empty()) return resolved;
    return absl::FailedPreconditionError(absl::StrCat(
        "the model fills queries up to ", config.expansion.length, " tokens and leaves out ",
        config.skiplist.size(), " tokens of a list, but the directory has no tokenizer.json"));
  }
  if (config.expansion.length > 0) {
    CTX_ASSIGN_OR_RETURN(resolved->expansion_id,
                         ExpansionId(config.expansion, special, *tokenizer));
    if (resolved->expansion_id >= static_cast<uint32_t>(vocabulary_size)) {
      return absl::FailedPreconditionError(
          absl::StrCat("queries are filled up with token ", resolved->expansion_id,
                       " of tokenizer.json, but config.json has vocab_size ", vocabulary_size));
    }
  }
  // A word that is no token is no loss: transformers would take the unknown token for it.
  for (const std::string& word : config.skiplist) {
    const int64_t id = tokenizer->TokenId(word);
    if (id >= 0) resolved->skiplist.push_back(static_cast<uint32_t>(id));
  }
  std::sort(resolved->skiplist.begin(), resolved->skiplist.end());
  return resolved;
}

int MostTokens(const LateInteractionConfig& config, InputRole role, int most, int max_length) {
  int own = role == InputRole::kDocument ? config.document_length : 0;
  if (role == InputRole::kQuery) {
    const QueryExpansion& expansion = config.expansion;
    own = config.query_length;
    if (expansion.length > 0 && expansion.fixed) own = expansion.length;
    if (expansion.length > 0 && own > 0) own = std::max(own, expansion.length);
  }
  return own == 0 ? most : std::min(own, max_length);
}

}  // namespace contexture
