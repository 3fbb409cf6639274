#include "server/services/classify_tokens_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/services/culprits.h"
#include "server/services/head_scores.h"

namespace contexture {
namespace {

// Upper bounds of what protobuf adds.
constexpr int64_t kResultOverhead = 64;
constexpr int64_t kEntityOverhead = 48;

absl::StatusOr<EntityAggregation> ResolveAggregation(v1::Aggregation aggregation) {
  switch (aggregation) {
    case v1::AGGREGATION_UNSPECIFIED:
    case v1::AGGREGATION_NONE:
      return EntityAggregation::kNone;
    case v1::AGGREGATION_SIMPLE:
      return EntityAggregation::kSimple;
    case v1::AGGREGATION_FIRST:
      return EntityAggregation::kFirst;
    case v1::AGGREGATION_AVERAGE:
      return EntityAggregation::kAverage;
    case v1::AGGREGATION_MAX:
      return EntityAggregation::kMax;
    default:
      return UnknownEnumValue("aggregation", aggregation, v1::Aggregation_MAX);
  }
}

}  // namespace

void ClassifyTokensCall::Start(const Backend& backend, Job job) {
  auto call = std::make_shared<ClassifyTokensCall>(backend, std::move(job));
  static_cast<HeadCall&>(*call).Start();
}

ClassifyTokensCall::ClassifyTokensCall(const Backend& backend, Job job)
    : HeadCall(backend, CallTerms::Of(job)), request_(*job.request), response_(*job.response) {}

bool ClassifyTokensCall::wants_words() const {
  return aggregation_ != EntityAggregation::kNone && aggregation_ != EntityAggregation::kSimple;
}

absl::StatusOr<HeadCall::HeadPlan> ClassifyTokensCall::Plan() {
  CTX_RETURN_IF_ERROR(CheckModelName(request_.model(), model()));
  CTX_RETURN_IF_ERROR(CheckFingerprint(request_.required_fingerprint(), model()));
  CTX_RETURN_IF_ERROR(CheckInputCount("inputs", request_.inputs_size(), model()));
  CTX_ASSIGN_OR_RETURN(head_, FindHead(model(), HeadTask::kTokenClassification));
  CTX_ASSIGN_OR_RETURN(aggregation_, ResolveAggregation(request_.aggregation()));
  HeadPlan plan = {.bypass_cache = request_.bypass_cache(),
                   .num_items = request_.inputs_size(),
                   .answer_bytes_per_item = kResultOverhead};
  CTX_ASSIGN_OR_RETURN(plan.request.truncation, ResolveTruncation(request_.truncation()));
  plan.request.needs_origins = true;
  for (const v1::Input& input : request_.inputs()) {
    plan.request.needs_tokenizer |= input.has_text() || input.has_text_pair();
  }
  tokens_.resize(plan.num_items);
  return plan;
}

absl::Status ClassifyTokensCall::CheckKind(const v1::Input& input, const std::string& field) const {
  if (input.has_text_pair()) {
    return MakeError(ErrorReason::kOptionNotApplicable,
                     "the tokens of a pair have no labels: send text or token_ids",
                     {absl::StrCat(field, ".text_pair"), {}});
  }
  if (input.has_text() || !wants_words()) return absl::OkStatus();
  return MakeError(ErrorReason::kOptionNotApplicable,
                   absl::StrCat(v1::Aggregation_Name(request_.aggregation()),
                                " is over words, which token_ids do not tell: send text, or "
                                "AGGREGATION_SIMPLE"),
                   {field, {{"aggregation", v1::Aggregation_Name(request_.aggregation())}}});
}

std::vector<LabelledToken> ClassifyTokensCall::TokensOf(const v1::Input& input,
                                                        const PlannedInput& planned) const {
  std::vector<LabelledToken> tokens;
  const TokenOrigins& origins = planned.origins;
  for (size_t i = 0; i < planned.ids.size(); ++i) {
    LabelledToken token = {.index = static_cast<uint32_t>(i)};
    if (!origins.special.empty()) {
      if (origins.special[i] != 0) continue;
      token.begin = origins.begins[i];
      token.end = origins.ends[i];
    }
    if (wants_words()) {
      const Tokenizer& tokenizer = *model().tokenizer;
      const bool unknown = int64_t{planned.ids[i]} == tokenizer.unknown_id();
      token.continues_word = !unknown && ContinuesWord(input.text(), token.begin, token.end,
                                                       tokenizer.TokenText(planned.ids[i]),
                                                       tokenizer.marks_subwords());
    }
    tokens.push_back(token);
  }
  return tokens;
}

absl::StatusOr<HeadCall::Item> ClassifyTokensCall::PlanItem(int index) {
  const v1::Input& input = request_.inputs(index);
  const std::string field = absl::StrCat("inputs[", index, "]");
  CTX_RETURN_IF_ERROR(CheckKind(input, field));
  Item item;
  CTX_ASSIGN_OR_RETURN(item.input, PlanInput(input, field, request_plan(), model()));
  tokens_[index] = TokensOf(input, item.input);
  size_t longest = 0;
  for (const std::string& label : head().labels) longest = std::max(longest, label.size());
  item.answer_bytes = static_cast<int64_t>(tokens_[index].size()) *
                      (kEntityOverhead + static_cast<int64_t>(longest));
  item.output = {.kind = OutputKind::kHead,
                 .dimensions = head().num_outputs,
                 .head = {.index = head_, .rows = HeadRows::kEach}};
  return item;
}

absl::Status ClassifyTokensCall::Answer(absl::Span<Outcome> outcomes, const v1::Usage& usage) {
  const size_t size = head().labels.size();
  for (size_t i = 0; i < outcomes.size(); ++i) {
    v1::TokenClassification& result = *response_.add_results();
    Describe(outcomes[i], result);
    if (!outcomes[i].status.ok()) continue;
    std::vector<float> scores = FloatsOf(outcomes[i].output);
    for (LabelledToken& token : tokens_[i]) {
      const absl::Span<float> row = absl::MakeSpan(scores).subspan(token.index * size, size);
      ApplyScoreFunction(ScoreFunction::kSoftmax, row);
      token.scores = row;
    }
    for (Entity& entity : AggregateEntities(tokens_[i], head().labels, aggregation_)) {
      if (entity.label == "O" && !request_.include_outside()) continue;
      v1::Entity& message = *result.add_entities();
      message.set_label(std::move(entity.label));
      message.set_score(entity.score);
      message.set_begin(entity.begin);
      message.set_end(entity.end);
      message.set_token_begin(entity.token_begin);
      message.set_token_end(entity.token_end);
    }
  }
  *response_.mutable_usage() = usage;
  response_.set_fingerprint(model().info.fingerprint);
  return absl::OkStatus();
}

}  // namespace contexture
