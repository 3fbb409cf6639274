#include "server/services/tokenize.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "server/services/request_plan.h"
#include "server/services/status_mapping.h"

namespace contexture {
namespace {

absl::Status CheckRequest(const v1::TokenizeRequest& request, const ServedModel& model) {
  CTX_RETURN_IF_ERROR(CheckModelName(request.model(), model));
  if (model.tokenizer == nullptr) {
    return MakeError(ErrorReason::kTokenizerMissing, "the model has no tokenizer.json");
  }
  if (request.texts().empty()) {
    return MakeError(ErrorReason::kNoInputs, "the request has no texts, at least 1 is needed",
                     {"texts", {{"got", "0"}, {"min", "1"}}});
  }
  if (request.texts_size() <= model.max_inputs_per_request) return absl::OkStatus();
  return MakeError(ErrorReason::kTooManyInputs,
                   absl::StrFormat("the request has %d texts, at most %d are allowed",
                                   request.texts_size(), model.max_inputs_per_request),
                   {"texts",
                    {{"got", absl::StrCat(request.texts_size())},
                     {"max", absl::StrCat(model.max_inputs_per_request)}}});
}

v1::Tokens ToProto(std::vector<Token> tokens) {
  v1::Tokens result;
  result.mutable_tokens()->Reserve(static_cast<int>(tokens.size()));
  for (Token& token : tokens) {
    v1::Token& added = *result.add_tokens();
    added.set_id(token.id);
    added.set_text(std::move(token.text));
    added.set_begin(token.begin);
    added.set_end(token.end);
    added.set_special(token.special);
  }
  return result;
}

absl::StatusOr<v1::Tokens> TokenizeText(const std::string& text, const std::string& field,
                                        bool add_special_tokens, const ServedModel& model) {
  if (text.empty()) return MakeError(ErrorReason::kTextEmpty, "the text is empty", {field, {}});
  if (static_cast<int64_t>(text.size()) > model.max_text_bytes) {
    return MakeError(
        ErrorReason::kTextTooLarge,
        absl::StrFormat("the text has %d bytes, at most %d are allowed", text.size(),
                        model.max_text_bytes),
        {field, {{"got", absl::StrCat(text.size())}, {"max", absl::StrCat(model.max_text_bytes)}}});
  }
  auto tokens = model.tokenizer->Tokenize(text, add_special_tokens);
  if (tokens.ok()) return ToProto(*std::move(tokens));
  if (tokens.status().code() == absl::StatusCode::kInvalidArgument) {
    return MakeError(ErrorReason::kTextInvalid, tokens.status().message(), {field, {}});
  }
  return tokens.status();
}

}  // namespace

absl::Status TokenizeTexts(const TokenizeJob& job, v1::TokenizeResponse& response) {
  const auto& [request, model, cancelled, memory] = job;
  CTX_RETURN_IF_ERROR(CheckRequest(request, model));
  int64_t bytes = 0;
  for (int i = 0; i < request.texts_size(); ++i) {
    if (cancelled) return MakeError(ErrorReason::kCancelled, "the caller cancelled the request");
    const std::string field = absl::StrFormat("texts[%d]", i);
    CTX_ASSIGN_OR_RETURN(v1::Tokens tokens, TokenizeText(request.texts(i), field,
                                                         request.add_special_tokens(), model));
    const auto text_bytes = static_cast<int64_t>(tokens.ByteSizeLong());
    CTX_RETURN_IF_ERROR(memory.Grow(AnswerMemory(text_bytes)));
    bytes += text_bytes;
    if (bytes > model.max_message_bytes) {
      return MakeError(
          ErrorReason::kAnswerTooLarge,
          absl::StrFormat("up to this text the answer has %d bytes, a message has at "
                          "most %d: send fewer texts",
                          bytes, model.max_message_bytes),
          {field, {{"got", absl::StrCat(bytes)}, {"max", absl::StrCat(model.max_message_bytes)}}});
    }
    *response.add_tokens() = std::move(tokens);
  }
  return absl::OkStatus();
}

}  // namespace contexture
