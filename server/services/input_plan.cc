#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "server/services/culprits.h"
#include "server/services/request_plan.h"
#include "server/services/span_plan.h"

namespace contexture {
namespace {

// What a check needs to name its culprit.
struct InputContext {
  std::string field;  // "inputs[3]"
  const RequestPlan& plan;
  const ServedModel& model;

  std::string Field(absl::string_view name) const { return absl::StrCat(field, ".", name); }
  int max_text_length() const {
    return plan.max_text_length > 0 ? plan.max_text_length : model.info.max_text_length;
  }
  int max_ids_length() const {
    return plan.max_ids_length > 0 ? plan.max_ids_length : model.info.config.max_length;
  }
};

absl::Status TooLong(const std::string& field, size_t length, int max) {
  return MakeError(
      ErrorReason::kInputTooLong,
      absl::StrFormat("%d tokens, at most %d are allowed; set truncation to cut it", length, max),
      {field, {{"got", absl::StrCat(length)}, {"max", absl::StrCat(max)}}});
}

// The id goes back to its caller only; it is in no log.
absl::Status CheckIds(absl::Span<const uint32_t> ids, uint32_t limit, ErrorReason reason,
                      const std::string& field) {
  const auto bad = std::find_if(ids.begin(), ids.end(), [&](uint32_t id) { return id >= limit; });
  if (bad == ids.end()) return absl::OkStatus();
  const auto position = bad - ids.begin();
  return MakeError(
      reason, absl::StrFormat("id %d at position %d, ids must be below %d", *bad, position, limit),
      {absl::StrFormat("%s[%d]", field, position),
       {{"got", absl::StrCat(*bad)}, {"limit", absl::StrCat(limit)}}});
}

// Keeps the beginning or the end.
void Truncate(Truncation truncation, size_t length, std::vector<uint32_t>& ids) {
  if (ids.size() <= length) return;
  if (truncation == Truncation::kLeft) ids.erase(ids.begin(), ids.end() - length);
  ids.resize(length);
}

bool AllZero(const std::vector<uint32_t>& ids) {
  return std::all_of(ids.begin(), ids.end(), [](uint32_t id) { return id == 0; });
}

absl::Status CheckTypeIds(const v1::TokenIds& input, const InputContext& context) {
  if (input.type_ids().empty()) return absl::OkStatus();
  const std::string field = context.Field("token_ids.type_ids");
  if (input.type_ids_size() != input.ids_size()) {
    return MakeError(
        ErrorReason::kTypeIdCountMismatch,
        absl::StrFormat("%d type ids for %d ids", input.type_ids_size(), input.ids_size()),
        {field,
         {{"type_ids", absl::StrCat(input.type_ids_size())},
          {"ids", absl::StrCat(input.ids_size())}}});
  }
  return CheckIds(input.type_ids(), context.model.info.config.type_vocabulary_size,
                  ErrorReason::kTypeIdOutOfRange, field);
}

absl::Status CheckPositions(const v1::TokenIds& input, const InputContext& context) {
  if (input.positions().empty()) return absl::OkStatus();
  const std::string field = context.Field("token_ids.positions");
  const EncoderConfig& config = context.model.info.config;
  const int last = config.max_given_position();
  if (last < 0) {
    return MakeError(ErrorReason::kPositionsNotApplicable,
                     absl::StrFormat("%d given, but the model's positions are not sparse",
                                     input.positions_size()),
                     {field, {{"positions", absl::StrCat(input.positions_size())}}});
  }
  if (input.positions_size() != input.ids_size()) {
    return MakeError(
        ErrorReason::kPositionCountMismatch,
        absl::StrFormat("%d positions for %d ids", input.positions_size(), input.ids_size()),
        {field,
         {{"positions", absl::StrCat(input.positions_size())},
          {"ids", absl::StrCat(input.ids_size())}}});
  }
  for (int i = 0; i < input.positions_size(); ++i) {
    const uint32_t position = input.positions(i);
    if (position <= static_cast<uint32_t>(last)) continue;
    return MakeError(ErrorReason::kPositionOutOfRange,
                     absl::StrFormat("position %d of token %d is past the table, whose last is %d",
                                     position, i, last),
                     GotAndMax(absl::StrFormat("%s[%d]", field, i), position, last));
  }
  return absl::OkStatus();
}

absl::StatusOr<PlannedInput> PlanTokenIds(const v1::TokenIds& input, const InputContext& context) {
  const EncoderConfig& config = context.model.info.config;
  const std::string field = context.Field("token_ids.ids");
  if (input.ids().empty()) {
    return MakeError(ErrorReason::kTokenIdsEmpty, "there are no ids, at least 1 is needed",
                     {field, {{"got", "0"}, {"min", "1"}}});
  }
  CTX_RETURN_IF_ERROR(
      CheckIds(input.ids(), config.vocabulary_size, ErrorReason::kTokenIdOutOfRange, field));
  CTX_RETURN_IF_ERROR(CheckTypeIds(input, context));
  CTX_RETURN_IF_ERROR(CheckPositions(input, context));
  const Truncation truncation = context.plan.truncation;
  const int most = context.max_ids_length();
  if (input.ids_size() > most && truncation == Truncation::kError) {
    return TooLong(field, input.ids_size(), most);
  }
  PlannedInput planned{.ids = {input.ids().begin(), input.ids().end()},
                       .type_ids = {input.type_ids().begin(), input.type_ids().end()},
                       .positions = {input.positions().begin(), input.positions().end()},
                       .original_length = static_cast<uint32_t>(input.ids_size())};
  Truncate(truncation, most, planned.ids);
  Truncate(truncation, most, planned.type_ids);
  Truncate(truncation, most, planned.positions);
  return planned;
}

absl::Status CheckText(absl::string_view text, const std::string& field,
                       const InputContext& context) {
  if (text.empty()) return MakeError(ErrorReason::kTextEmpty, "the text is empty", {field, {}});
  const auto bytes = static_cast<int64_t>(text.size());
  const int64_t max = context.model.max_text_bytes;
  if (bytes <= max) return absl::OkStatus();
  return MakeError(ErrorReason::kTextTooLarge,
                   absl::StrFormat("the text has %d bytes, at most %d are allowed", bytes, max),
                   {field, {{"got", absl::StrCat(bytes)}, {"max", absl::StrCat(max)}}});
}

// The tokenizer's own refusals, with the input's name.
absl::Status TokenizerError(const absl::Status& status, const std::string& field) {
  const auto reason =
      status.code() == absl::StatusCode::kInvalidArgument      ? ErrorReason::kTextInvalid
      : status.code() == absl::StatusCode::kFailedPrecondition ? ErrorReason::kTokenizerUnsuitable
                                                               : ErrorReason::kInternal;
  return MakeError(reason, status.message(), {field, {}});
}

// Checks what the tokenizer made: a tokenizer.json need not fit the weights beside it.
absl::StatusOr<PlannedInput> FromEncoding(absl::StatusOr<Encoding> encoding,
                                          const std::string& field, const InputContext& context) {
  if (!encoding.ok()) return TokenizerError(encoding.status(), field);
  const EngineInfo& info = context.model.info;
  if (encoding->ids.empty()) {
    return MakeError(ErrorReason::kTextEmpty, "the text has no tokens", {field, {}});
  }
  if (static_cast<int64_t>(encoding->ids.size()) > context.max_text_length()) {
    return TooLong(field, encoding->ids.size(), context.max_text_length());
  }
  PlannedInput planned{.ids = std::move(encoding->ids),
                       .type_ids = std::move(encoding->type_ids),
                       .original_length = encoding->original_length};
  planned.origins = std::move(encoding->origins);
  // A model without type embedding ignores what its tokenizer says about types.
  const bool typed = info.config.type_vocabulary_size > 0 && info.tokenizer_config.passes_type_ids;
  if (!typed || AllZero(planned.type_ids)) planned.type_ids.clear();
  const auto limit = [](int size) { return static_cast<uint32_t>(size); };
  if (!CheckIds(planned.ids, limit(info.config.vocabulary_size), ErrorReason::kInternal, field)
           .ok() ||
      !CheckIds(planned.type_ids, limit(info.config.type_vocabulary_size), ErrorReason::kInternal,
                field)
           .ok()) {
    return MakeError(ErrorReason::kTokenizerUnsuitable,
                     "the model's tokenizer gives ids that its weights do not have", {field, {}});
  }
  return planned;
}

// With Truncation::kError the tokenizer gets no limit, so that the error can name the real length.
EncodeOptions TokenizerOptions(const InputContext& context) {
  const bool cuts = context.plan.truncation != Truncation::kError;
  return {.max_length = cuts ? context.max_text_length() : 0,
          .truncation = context.plan.truncation,
          .with_origins =
              context.plan.needs_origins && context.model.info.config.decoder.num_layers == 0};
}

// From bytes of prompt and text to bytes of the text.
void RemovePrompt(uint32_t prompt_bytes, TokenOrigins& origins) {
  for (std::vector<uint32_t>* bytes : {&origins.begins, &origins.ends}) {
    for (uint32_t& byte : *bytes) byte = byte > prompt_bytes ? byte - prompt_bytes : 0;
  }
}

absl::StatusOr<PlannedInput> PlanText(const std::string& text, const InputContext& context) {
  const std::string field = context.Field("text");
  CTX_RETURN_IF_ERROR(CheckText(text, field, context));
  const std::string& prompt = context.plan.prompt;
  const std::string prompted = prompt.empty() ? std::string() : prompt + text;
  const std::string& whole = prompt.empty() ? text : prompted;
  CTX_RETURN_IF_ERROR(CheckText(whole, field, context));
  CTX_ASSIGN_OR_RETURN(PlannedInput planned, FromEncoding(context.model.tokenizer->Encode(
                                                              whole, TokenizerOptions(context)),
                                                          field, context));
  RemovePrompt(static_cast<uint32_t>(prompt.size()), planned.origins);
  return planned;
}

absl::StatusOr<PlannedInput> PlanTextPair(const v1::TextPair& pair, const InputContext& context) {
  CTX_RETURN_IF_ERROR(CheckText(pair.first(), context.Field("text_pair.first"), context));
  CTX_RETURN_IF_ERROR(CheckText(pair.second(), context.Field("text_pair.second"), context));
  CTX_ASSIGN_OR_RETURN(PlannedInput planned,
                       FromEncoding(context.model.tokenizer->EncodePair(pair.first(), pair.second(),
                                                                        TokenizerOptions(context)),
                                    context.Field("text_pair"), context));
  planned.is_pair = true;
  return planned;
}

absl::StatusOr<PlannedInput> PlanSource(const v1::Input& input, const InputContext& context) {
  if (input.has_token_ids()) return PlanTokenIds(input.token_ids(), context);
  if (input.content_case() == v1::Input::CONTENT_NOT_SET) {
    return MakeError(ErrorReason::kInputMissing,
                     "the input is empty: one of text, token_ids and text_pair is needed",
                     {context.field, {}});
  }
  CTX_RETURN_IF_ERROR(CheckHasTokenizer(context.field, context.model));
  return input.has_text() ? PlanText(input.text(), context)
                          : PlanTextPair(input.text_pair(), context);
}

// The target of a model with a decoder.
absl::StatusOr<std::vector<uint32_t>> PlanTarget(const v1::Input& input,
                                                 const InputContext& context) {
  const EncoderConfig& config = context.model.info.config;
  const std::string field = context.Field("target");
  const v1::TokenIds& target = input.target();
  if (config.decoder.num_layers == 0) {
    if (!input.has_target()) return std::vector<uint32_t>();
    return MakeError(
        ErrorReason::kTargetNotApplicable,
        absl::StrFormat("a %s has no decoder, so it takes no target", config.model_type),
        {field, {{"model_type", config.model_type}}});
  }
  if (target.ids().empty()) {
    return MakeError(ErrorReason::kTargetMissing,
                     absl::StrFormat("has no ids; a %s needs at least 1", config.model_type),
                     {field, {{"got", "0"}, {"min", "1"}}});
  }
  if (!target.type_ids().empty() || !target.positions().empty()) {
    return MakeError(ErrorReason::kTargetInvalid,
                     absl::StrFormat("%d type ids and %d positions given, a target has 0",
                                     target.type_ids_size(), target.positions_size()),
                     GotAndMax(field, target.type_ids_size() + target.positions_size(), 0));
  }
  if (target.ids_size() > config.max_length) {
    return MakeError(
        ErrorReason::kInputTooLong,
        absl::StrFormat("%d tokens, at most %d are allowed", target.ids_size(), config.max_length),
        GotAndMax(field, target.ids_size(), config.max_length));
  }
  CTX_RETURN_IF_ERROR(CheckIds(target.ids(), config.decoder.vocabulary_size,
                               ErrorReason::kTokenIdOutOfRange, context.Field("target.ids")));
  return std::vector<uint32_t>(target.ids().begin(), target.ids().end());
}

// Fills a query up, and says which tokens are scored.
absl::Status PlanLateInteraction(const v1::Input& input, const InputContext& context,
                                 PlannedInput& planned) {
  const RequestPlan& plan = context.plan;
  if (plan.role == InputRole::kNone && !plan.scores_tokens) return absl::OkStatus();
  if (input.has_text_pair()) {
    return MakeError(ErrorReason::kOptionNotApplicable,
                     "late interaction takes a text or token ids, not a pair",
                     {context.Field("text_pair"), {}});
  }
  const LateInteraction& late = *context.model.late_interaction;
  const size_t length = planned.ids.size();
  const auto filled = static_cast<size_t>(late.config.expansion.length);
  if (plan.role == InputRole::kQuery && length < filled) {
    if (!late.config.expansion.attended) planned.attended = static_cast<uint32_t>(length);
    planned.added = static_cast<uint32_t>(filled - length);
    planned.ids.resize(filled, late.expansion_id);
    if (!planned.type_ids.empty()) planned.type_ids.resize(filled);
    while (!planned.positions.empty() && planned.positions.size() < filled) {
      planned.positions.push_back(static_cast<uint32_t>(planned.positions.size()));
    }
    TokenOrigins& origins = planned.origins;
    if (!origins.begins.empty()) {
      for (auto* column : {&origins.begins, &origins.ends, &origins.text_indices}) {
        column->resize(filled);
      }
      origins.special.resize(filled, 1);
    }
  }
  if (plan.scores_tokens) planned.scored = late.ScoredTokens(planned.ids, plan.role);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PlannedInput> PlanInput(const v1::Input& input, const std::string& field,
                                       const RequestPlan& plan, const ServedModel& model) {
  const InputContext context{field, plan, model};
  CTX_ASSIGN_OR_RETURN(std::vector<uint32_t> target, PlanTarget(input, context));
  CTX_ASSIGN_OR_RETURN(PlannedInput planned, PlanSource(input, context));
  planned.target_ids = std::move(target);
  CTX_RETURN_IF_ERROR(PlanLateInteraction(input, context, planned));
  CTX_RETURN_IF_ERROR(PlanSpans(input, field, plan, planned));
  return planned;
}

absl::Status CheckHasTokenizer(const std::string& field, const ServedModel& model) {
  if (model.tokenizer != nullptr) return absl::OkStatus();
  return MakeError(ErrorReason::kTokenizerMissing,
                   "the model has no tokenizer.json, so it takes token_ids only", {field, {}});
}

absl::Status CheckInputText(absl::string_view text, const std::string& field,
                            const ServedModel& model) {
  return CheckText(text, field, {field, RequestPlan(), model});
}

absl::StatusOr<PlannedInput> PlanEncoding(absl::StatusOr<Encoding> encoding,
                                          const std::string& field, const RequestPlan& plan,
                                          const ServedModel& model) {
  return FromEncoding(std::move(encoding), field, {field, plan, model});
}

EncodeOptions TokenizerOptionsOf(const RequestPlan& plan, const ServedModel& model) {
  return TokenizerOptions({"", plan, model});
}

absl::Status TokenizerRefusal(const absl::Status& status, const std::string& field) {
  return TokenizerError(status, field);
}

}  // namespace contexture
