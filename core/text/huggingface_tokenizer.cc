#include "core/text/huggingface_tokenizer.h"

#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace contexture {
namespace {

contexture_text ToText(absl::string_view text) { return {text.data(), text.size()}; }

// Takes the message out of ERROR.
std::string TakeMessage(const contexture_tokenizer_error& error) {
  std::string message = error.message;
  contexture_message_free(error.message);
  return message;
}

absl::Status EncodeError(const contexture_tokenizer_error& error,
                         const contexture_encode_request& request) {
  const std::string message = TakeMessage(error);
  const bool is_pair = request.second.data != nullptr || request.prepared != nullptr;
  const char* which = !is_pair ? "text" : error.input == 0 ? "first text" : "second text";
  switch (error.code) {
    case CONTEXTURE_TOKENIZER_INVALID_UTF8:
      return absl::InvalidArgumentError(
          absl::StrCat(which, " is not UTF-8: invalid byte at position ", error.position, " of ",
                       error.input == 0 ? request.first.size : request.second.size));
    case CONTEXTURE_TOKENIZER_NO_ROOM:
      return absl::InvalidArgumentError(
          absl::StrCat("the limit of ", request.max_length, " tokens does not hold the ",
                       error.position, " special tokens of a ", is_pair ? "pair" : "text"));
    default:
      return absl::InternalError(absl::StrCat("the tokenizer failed on the text: ", message));
  }
}

// Checks what the library would take without complaint. WHICH: "text", "first text", "second text".
absl::Status CheckText(absl::string_view text, const char* which) {
  if (text.empty()) return absl::InvalidArgumentError(absl::StrCat(which, " is empty"));
  // Token::begin and Token::end have 32 bits.
  constexpr size_t kLargest = std::numeric_limits<uint32_t>::max();
  if (text.size() > kLargest) {
    return absl::InvalidArgumentError(
        absl::StrCat(which, " has ", text.size(), " bytes, ", kLargest, " are allowed"));
  }
  return absl::OkStatus();
}

contexture_truncation ToC(Truncation truncation) {
  switch (truncation) {
    case Truncation::kRight:
      return CONTEXTURE_TRUNCATION_RIGHT;
    case Truncation::kLeft:
      return CONTEXTURE_TRUNCATION_LEFT;
    case Truncation::kError:
      break;
  }
  return CONTEXTURE_TRUNCATION_NONE;
}

TokenOrigins OriginsOf(const contexture_encoding& encoding, size_t length) {
  TokenOrigins origins;
  origins.begins.resize(length);
  origins.ends.resize(length);
  origins.text_indices.resize(length);
  origins.special.resize(length);
  for (size_t i = 0; i < length; ++i) {
    const contexture_token token = contexture_encoding_token(&encoding, i);
    origins.special[i] = token.special ? 1 : 0;
    if (token.special) continue;
    origins.begins[i] = static_cast<uint32_t>(token.begin);
    origins.ends[i] = static_cast<uint32_t>(token.end);
    origins.text_indices[i] = token.input;
  }
  return origins;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HuggingFaceTokenizer>> HuggingFaceTokenizer::FromJson(
    absl::string_view json, absl::Span<const std::string> markers) {
  // The library takes a pointer for a slice, which must not be null even when it is empty.
  if (json.empty()) return absl::InvalidArgumentError("the tokenizer is an empty file");
  contexture_tokenizer_error error = {};
  contexture_tokenizer* tokenizer = contexture_tokenizer_load(json.data(), json.size(), &error);
  if (tokenizer == nullptr) return absl::InvalidArgumentError(TakeMessage(error));
  std::unique_ptr<HuggingFaceTokenizer> loaded(new HuggingFaceTokenizer(tokenizer));
  for (const std::string& marker : markers) {
    if (contexture_tokenizer_add_marker(tokenizer, ToText(marker), &error)) continue;
    return absl::InvalidArgumentError(TakeMessage(error));
  }
  return loaded;
}

int64_t HuggingFaceTokenizer::TokenId(absl::string_view token) const {
  // The library takes a pointer for a slice, which must not be null even when it is empty.
  return token.empty() ? -1 : contexture_tokenizer_id(tokenizer_.get(), ToText(token));
}

absl::StatusOr<Encoding> HuggingFaceTokenizer::Encode(absl::string_view text,
                                                      const EncodeOptions& options) const {
  CTX_RETURN_IF_ERROR(CheckText(text, "text"));
  contexture_encode_request request = {};
  request.first = ToText(text);
  return RunWithOptions(request, options);
}

absl::Status HuggingFaceTokenizer::CheckPairs() const {
  if (info_.has_pair_template) return absl::OkStatus();
  return absl::FailedPreconditionError("the model's tokenizer has no template for pairs of texts");
}

absl::StatusOr<Encoding> HuggingFaceTokenizer::EncodePair(absl::string_view first,
                                                          absl::string_view second,
                                                          const EncodeOptions& options) const {
  CTX_RETURN_IF_ERROR(CheckPairs());
  CTX_RETURN_IF_ERROR(CheckText(first, "first text"));
  CTX_RETURN_IF_ERROR(CheckText(second, "second text"));
  contexture_encode_request request = {};
  request.first = ToText(first);
  request.second = ToText(second);
  return RunWithOptions(request, options);
}

// A first text that the library has tokenized.
class HuggingFaceTokenizer::PreparedPair final : public PairEncoder {
 public:
  PreparedPair(const HuggingFaceTokenizer& tokenizer, contexture_prepared* first)
      : tokenizer_(tokenizer), first_(first) {}

  absl::StatusOr<Encoding> Encode(absl::string_view second,
                                  const EncodeOptions& options) const override {
    CTX_RETURN_IF_ERROR(CheckText(second, "second text"));
    contexture_encode_request request = {};
    request.prepared = first_.get();
    request.second = ToText(second);
    return tokenizer_.RunWithOptions(request, options);
  }

 private:
  const HuggingFaceTokenizer& tokenizer_;
  const std::unique_ptr<contexture_prepared, FreePrepared> first_;
};

absl::StatusOr<std::unique_ptr<PairEncoder>> HuggingFaceTokenizer::NewPairEncoder(
    absl::string_view first) const {
  CTX_RETURN_IF_ERROR(CheckPairs());
  CTX_RETURN_IF_ERROR(CheckText(first, "first text"));
  contexture_tokenizer_error error = {};
  contexture_prepared* prepared =
      contexture_tokenizer_prepare(tokenizer_.get(), ToText(first), &error);
  if (prepared != nullptr) return std::make_unique<PreparedPair>(*this, prepared);
  contexture_encode_request request = {};
  request.first = request.second = ToText(first);  // so that the message is of a pair
  return EncodeError(error, request);
}

absl::StatusOr<std::vector<Token>> HuggingFaceTokenizer::Tokenize(absl::string_view text,
                                                                  bool add_special_tokens) const {
  CTX_RETURN_IF_ERROR(CheckText(text, "text"));
  contexture_encode_request request = {};
  request.first = ToText(text);
  request.add_special_tokens = add_special_tokens;
  request.with_offsets = true;
  CTX_ASSIGN_OR_RETURN(const EncodingHandle encoding, Run(request));
  const contexture_encoding_view view = contexture_encoding_get(encoding.get());
  std::vector<Token> tokens(view.length);
  for (size_t i = 0; i < view.length; ++i) {
    const contexture_token token = contexture_encoding_token(encoding.get(), i);
    tokens[i] = {.id = view.ids[i],
                 .text = std::string(token.text.data, token.text.size),
                 .begin = static_cast<uint32_t>(token.begin),
                 .end = static_cast<uint32_t>(token.end),
                 .special = token.special};
  }
  return tokens;
}

std::string HuggingFaceTokenizer::TokenText(uint32_t id) const {
  char* spelling = contexture_tokenizer_token(tokenizer_.get(), id);
  std::string text = spelling == nullptr ? "" : spelling;
  contexture_message_free(spelling);
  return text;
}

std::string HuggingFaceTokenizer::Decode(absl::Span<const uint32_t> ids) const {
  if (ids.empty()) return "";
  char* decoded = contexture_tokenizer_decode(tokenizer_.get(), ids.data(), ids.size());
  std::string text = decoded == nullptr ? "" : decoded;
  contexture_message_free(decoded);
  return text;
}

absl::StatusOr<HuggingFaceTokenizer::EncodingHandle> HuggingFaceTokenizer::Run(
    const contexture_encode_request& request) const {
  contexture_tokenizer_error error = {};
  EncodingHandle encoding(contexture_tokenizer_encode(tokenizer_.get(), &request, &error));
  if (encoding == nullptr) return EncodeError(error, request);
  return encoding;
}

absl::StatusOr<Encoding> HuggingFaceTokenizer::RunWithOptions(contexture_encode_request request,
                                                              const EncodeOptions& options) const {
  if (options.max_length < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_length is ", options.max_length, ", at least 0 is allowed"));
  }
  request.add_special_tokens = true;
  request.with_offsets = options.with_origins;
  request.max_length = static_cast<size_t>(options.max_length);
  if (options.max_length > 0) request.truncation = ToC(options.truncation);
  CTX_ASSIGN_OR_RETURN(const EncodingHandle encoding, Run(request));
  const contexture_encoding_view view = contexture_encoding_get(encoding.get());
  if (options.max_length > 0 && view.length > request.max_length) {
    return absl::InvalidArgumentError(absl::StrCat("the input has ", view.length, " tokens, ",
                                                   options.max_length, " are allowed"));
  }
  if (view.length == 0) {
    return absl::InvalidArgumentError("the text has no token: the tokenizer drops all of it");
  }
  Encoding result;
  result.ids.assign(view.ids, view.ids + view.length);
  result.type_ids.assign(view.type_ids, view.type_ids + view.length);
  result.original_length = static_cast<uint32_t>(view.original_length);
  if (options.with_origins) result.origins = OriginsOf(*encoding, view.length);
  return result;
}

}  // namespace contexture
