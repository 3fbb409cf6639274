#include "server/services/score_late_interaction_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "core/nn/max_sim.h"
#include "server/services/culprits.h"
#include "server/services/head_scores.h"
#include "server/services/work.h"

namespace contexture {
namespace {

// An upper bound of what a result takes on the wire, with the status of a document that failed.
constexpr int64_t kResultBytes = 512;

bool IsText(const v1::Input& input) { return input.has_text() || input.has_text_pair(); }

}  // namespace

void ScoreLateInteractionCall::Start(const Backend& backend, Job job) {
  auto call = std::make_shared<ScoreLateInteractionCall>(backend, std::move(job));
  static_cast<HeadCall&>(*call).Start();
}

ScoreLateInteractionCall::ScoreLateInteractionCall(const Backend& backend, Job job)
    : HeadCall(backend, CallTerms::Of(job)), request_(*job.request), response_(*job.response) {}

absl::StatusOr<HeadCall::HeadPlan> ScoreLateInteractionCall::Plan() {
  CTX_RETURN_IF_ERROR(CheckModelName(request_.model(), model()));
  CTX_RETURN_IF_ERROR(CheckFingerprint(request_.required_fingerprint(), model()));
  CTX_RETURN_IF_ERROR(CheckInputCount("documents", request_.documents_size(), model()));
  CTX_ASSIGN_OR_RETURN(head_, FindHead(model(), HeadTask::kLateInteraction));
  if (request_.has_top_n()) {
    CTX_RETURN_IF_ERROR(CheckCount("top_n", request_.top_n(), request_.documents_size()));
  }
  HeadPlan plan = {.bypass_cache = request_.bypass_cache(),
                   .num_items = 1 + request_.documents_size(),
                   .answer_bytes_per_item = kResultBytes,
                   .answers_outputs = false};
  CTX_ASSIGN_OR_RETURN(plan.request.truncation, ResolveTruncation(request_.truncation()));
  plan.request.needs_tokenizer = IsText(request_.query());
  for (const v1::Input& document : request_.documents()) {
    plan.request.needs_tokenizer = plan.request.needs_tokenizer || IsText(document);
  }
  plan.request.scores_tokens = true;
  query_plan_ = document_plan_ = plan.request;
  SetRole(InputRole::kQuery, model(), query_plan_);
  SetRole(InputRole::kDocument, model(), document_plan_);
  return plan;
}

absl::StatusOr<HeadCall::Item> ScoreLateInteractionCall::PlanSide(const v1::Input& input,
                                                                  const std::string& field,
                                                                  InputRole role) {
  const RequestPlan& plan = role == InputRole::kQuery ? query_plan_ : document_plan_;
  Item item;
  CTX_ASSIGN_OR_RETURN(item.input, PlanInput(input, field, plan, model()));
  if (item.input.scored.empty()) {
    return MakeError(ErrorReason::kNothingScored,
                     absl::StrFormat("none of its %d tokens is scored: the model leaves them out",
                                     item.input.ids.size()),
                     {field, {{"tokens", absl::StrCat(item.input.ids.size())}}});
  }
  item.output = {.kind = OutputKind::kHead,
                 .normalize = model().info.late_interaction->normalize,
                 .dimensions = model().info.config.heads[head_].num_outputs,
                 .head = {.index = head_, .rows = HeadRows::kChosen}};
  return item;
}

absl::Status ScoreLateInteractionCall::Prepare() {
  CTX_ASSIGN_OR_RETURN(query_, PlanSide(request_.query(), "query", InputRole::kQuery));
  return absl::OkStatus();
}

absl::StatusOr<HeadCall::Item> ScoreLateInteractionCall::PlanItem(int index) {
  if (index == 0) return std::move(query_);
  return PlanSide(request_.documents(index - 1), absl::StrCat("documents[", index - 1, "]"),
                  InputRole::kDocument);
}

absl::StatusOr<float> ScoreLateInteractionCall::Score(absl::Span<const float> query,
                                                      absl::Span<const float> document) const {
  const int size = model().info.config.heads[head_].num_outputs;
  const nn::VectorRows queries = {query.data(), static_cast<int>(query.size()) / size};
  CTX_ASSIGN_OR_RETURN(
      const float score,
      nn::MaxSim(queries, {document.data(), static_cast<int>(document.size()) / size}, size));
  return model().info.late_interaction->mean ? score / static_cast<float>(queries.rows) : score;
}

int64_t ScoreLateInteractionCall::MergeTokens(absl::Span<const Outcome> outcomes) const {
  const Outcome& query = outcomes[0];
  if (!query.status.ok()) return 0;
  int64_t vectors = 0;
  for (const Outcome& document : outcomes.subspan(1)) {
    if (document.status.ok()) vectors += static_cast<int64_t>(document.scored.size());
  }
  const EncoderConfig& config = model().info.config;
  return TokensOf(static_cast<double>(query.scored.size()) * static_cast<double>(vectors) *
                      config.heads[head_].num_outputs,
                  config);
}

absl::Status ScoreLateInteractionCall::Merge(absl::Span<const Outcome> outcomes) {
  const Outcome& query = outcomes[0];
  if (!query.status.ok()) return query.status;
  const absl::Span<const Outcome> documents = outcomes.subspan(1);
  const std::vector<float> query_vectors = FloatsOf(query.output);
  for (size_t i = 0; i < documents.size(); ++i) {
    if (!documents[i].status.ok()) continue;
    CTX_RETURN_IF_ERROR(CheckStillWanted());
    CTX_ASSIGN_OR_RETURN(const float score, Score(query_vectors, FloatsOf(documents[i].output)));
    scores_.push_back(score);
    computed_.push_back(static_cast<uint32_t>(i));
  }
  return absl::OkStatus();
}

absl::Status ScoreLateInteractionCall::Answer(absl::Span<Outcome> outcomes,
                                              const v1::Usage& usage) {
  const Outcome& query = outcomes[0];
  const absl::Span<Outcome> documents = outcomes.subspan(1);
  const size_t count = request_.has_top_n() ? request_.top_n() : scores_.size();
  for (uint32_t best : Highest(scores_, count)) {
    v1::RankedDocument& result = *response_.add_results();
    result.set_index(computed_[best]);
    Describe(documents[computed_[best]], result);
    result.set_score(scores_[best]);
  }
  for (size_t i = 0; i < documents.size(); ++i) {
    if (documents[i].status.ok()) continue;
    v1::RankedDocument& result = *response_.add_results();
    result.set_index(static_cast<uint32_t>(i));
    Describe(documents[i], result);
  }
  *response_.mutable_usage() = usage;
  response_.set_fingerprint(model().info.fingerprint);
  response_.set_query_token_count(query.tokens);
  response_.set_query_truncated(query.truncated);
  return absl::OkStatus();
}

}  // namespace contexture
