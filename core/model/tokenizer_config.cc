#include "core/model/tokenizer_config.h"

#include <algorithm>
#include <string>

#include "core/base/status_macros.h"
#include "core/model/json_fields.h"
#include "core/model/json_reader.h"

namespace contexture {
namespace {

// A token is a string, or an object with its 'content'. TOKEN stays as it is where JSON is silent.
absl::Status ReadToken(const Json& json, absl::string_view what, absl::string_view name,
                       std::string& token) {
  const auto found = json.find(std::string(name));
  if (found == json.end() || found->is_null()) return absl::OkStatus();
  const Json& value = found->is_object() ? found->value("content", Json()) : *found;
  if (!value.is_string()) return WrongType(what, name, *found, "a token");
  token = value.get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadTokens(const Json& json, absl::string_view what, TokenizerConfig& tokens) {
  CTX_RETURN_IF_ERROR(ReadToken(json, what, "mask_token", tokens.mask));
  return ReadToken(json, what, "eos_token", tokens.end);
}

// transformers passes a model what this list names, and all that the tokenizer gives without it.
absl::Status ReadInputNames(const Json& json, absl::string_view what, TokenizerConfig& config) {
  const auto names = json.find("model_input_names");
  if (names == json.end() || names->is_null()) return absl::OkStatus();
  if (!names->is_array())
    return WrongType(what, "model_input_names", *names, "an array of strings");
  config.passes_type_ids =
      std::find(names->begin(), names->end(), "token_type_ids") != names->end();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(
    std::optional<absl::string_view> tokenizer_config,
    std::optional<absl::string_view> special_tokens) {
  constexpr absl::string_view kConfig = "tokenizer_config.json";
  constexpr absl::string_view kMap = "special_tokens_map.json";
  TokenizerConfig config;
  if (tokenizer_config.has_value()) {
    CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(*tokenizer_config, kConfig));
    CTX_RETURN_IF_ERROR(ReadTokens(json, kConfig, config));
    CTX_RETURN_IF_ERROR(ReadInputNames(json, kConfig, config));
    if (json.contains("added_tokens_decoder")) return config;
  }
  if (!special_tokens.has_value()) return config;
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(*special_tokens, kMap));
  CTX_RETURN_IF_ERROR(ReadTokens(json, kMap, config));
  return config;
}

}  // namespace contexture
