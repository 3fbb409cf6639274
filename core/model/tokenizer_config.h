#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/model_directory.h"

namespace contexture {

// What TOKENIZER_CONFIG, the text of tokenizer_config.json, says, and special_tokens_map.json: its
// tokens win unless the former has 'added_tokens_decoder', as in transformers. Either may be
// absent. INVALID_ARGUMENT: broken JSON, a token that is no text, 'model_input_names' that is no
// list.
absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(
    std::optional<absl::string_view> tokenizer_config,
    std::optional<absl::string_view> special_tokens);

}  // namespace contexture
