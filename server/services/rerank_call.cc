#include "server/services/rerank_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "server/services/culprits.h"
#include "server/services/head_scores.h"

namespace contexture {
namespace {

// An upper bound of what a result takes on the wire, with the status of a document that failed.
constexpr int64_t kResultBytes = 512;

}  // namespace

void RerankCall::Start(const Backend& backend, Job job) {
  auto call = std::make_shared<RerankCall>(backend, std::move(job));
  static_cast<HeadCall&>(*call).Start();
}

RerankCall::RerankCall(const Backend& backend, Job job)
    : HeadCall(backend, CallTerms::Of(job)), request_(*job.request), response_(*job.response) {}

absl::Status RerankCall::ChooseFunction() {
  const HeadConfig& head = model().info.config.heads[head_];
  if (head.num_outputs != 1) {
    return MakeError(ErrorReason::kHeadMissing,
                     absl::StrFormat("the model '%s' gives a pair %d labels; a cross-encoder that "
                                     "ranks gives it 1",
                                     model().name, head.num_outputs),
                     {"", {{"got", absl::StrCat(head.num_outputs)}, {"needed", "1"}}});
  }
  CTX_ASSIGN_OR_RETURN(function_,
                       ResolveScoreFunction(request_.score_function(), head.rank_function));
  if (function_ != ScoreFunction::kSoftmax) return absl::OkStatus();
  return MakeError(ErrorReason::kScoreFunctionNotApplicable,
                   "the softmax of one label is 1 for every document",
                   {"score_function", {{"labels", "1"}}});
}

absl::StatusOr<HeadCall::HeadPlan> RerankCall::Plan() {
  CTX_RETURN_IF_ERROR(CheckModelName(request_.model(), model()));
  CTX_RETURN_IF_ERROR(CheckFingerprint(request_.required_fingerprint(), model()));
  CTX_RETURN_IF_ERROR(CheckInputCount("documents", request_.documents_size(), model()));
  CTX_ASSIGN_OR_RETURN(head_, FindHead(model(), HeadTask::kSequenceClassification));
  CTX_RETURN_IF_ERROR(ChooseFunction());
  if (request_.has_top_n()) {
    CTX_RETURN_IF_ERROR(CheckCount("top_n", request_.top_n(), request_.documents_size()));
  }
  CTX_RETURN_IF_ERROR(CheckHasTokenizer("query", model()));
  CTX_RETURN_IF_ERROR(CheckInputText(request_.query(), "query", model()));
  HeadPlan plan = {.bypass_cache = request_.bypass_cache(),
                   .num_items = request_.documents_size(),
                   .answer_bytes_per_item = kResultBytes};
  CTX_ASSIGN_OR_RETURN(plan.request.truncation, ResolveTruncation(request_.truncation()));
  plan.request.needs_tokenizer = true;
  return plan;
}

absl::Status RerankCall::Prepare() {
  auto query = model().tokenizer->NewPairEncoder(request_.query());
  if (!query.ok()) return TokenizerRefusal(query.status(), "query");
  query_ = *std::move(query);
  return absl::OkStatus();
}

absl::StatusOr<HeadCall::Item> RerankCall::PlanItem(int index) {
  const std::string field = absl::StrCat("documents[", index, "]");
  const std::string& document = request_.documents(index);
  CTX_RETURN_IF_ERROR(CheckInputText(document, field, model()));
  Item item;
  CTX_ASSIGN_OR_RETURN(
      item.input,
      PlanEncoding(query_->Encode(document, TokenizerOptionsOf(request_plan(), model())), field,
                   request_plan(), model()));
  item.output = {.kind = OutputKind::kHead,
                 .dimensions = 1,
                 .head = {.index = head_, .rows = model().info.config.heads[head_].rows}};
  return item;
}

absl::Status RerankCall::Answer(absl::Span<Outcome> outcomes, const v1::Usage& usage) {
  std::vector<float> scores;
  std::vector<uint32_t> computed;  // documents
  for (size_t i = 0; i < outcomes.size(); ++i) {
    if (!outcomes[i].status.ok()) continue;
    scores.push_back(FloatsOf(outcomes[i].output)[0]);
    computed.push_back(static_cast<uint32_t>(i));
  }
  const size_t count = request_.has_top_n() ? request_.top_n() : scores.size();
  // The order is that of the logits: far from zero the sigmoid is the same for different ones.
  for (uint32_t best : Highest(scores, count)) {
    v1::RankedDocument& result = *response_.add_results();
    result.set_index(computed[best]);
    Describe(outcomes[computed[best]], result);
    ApplyScoreFunction(function_, absl::MakeSpan(&scores[best], 1));
    result.set_score(scores[best]);
  }
  for (size_t i = 0; i < outcomes.size(); ++i) {
    if (outcomes[i].status.ok()) continue;
    v1::RankedDocument& result = *response_.add_results();
    result.set_index(static_cast<uint32_t>(i));
    Describe(outcomes[i], result);
  }
  *response_.mutable_usage() = usage;
  response_.set_fingerprint(model().info.fingerprint);
  return absl::OkStatus();
}

}  // namespace contexture
