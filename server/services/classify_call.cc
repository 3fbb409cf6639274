#include "server/services/classify_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/services/head_scores.h"

namespace contexture {
namespace {

// Upper bounds of what protobuf adds: tags, lengths, counts.
constexpr int64_t kResultOverhead = 64;
constexpr int64_t kLabelOverhead = 24;

}  // namespace

void ClassifyCall::Start(const Backend& backend, Job job) {
  auto call = std::make_shared<ClassifyCall>(backend, std::move(job));
  static_cast<HeadCall&>(*call).Start();
}

ClassifyCall::ClassifyCall(const Backend& backend, Job job)
    : HeadCall(backend, CallTerms::Of(job)), request_(*job.request), response_(*job.response) {}

absl::StatusOr<HeadCall::HeadPlan> ClassifyCall::Plan() {
  CTX_RETURN_IF_ERROR(CheckModelName(request_.model(), model()));
  CTX_RETURN_IF_ERROR(CheckFingerprint(request_.required_fingerprint(), model()));
  CTX_RETURN_IF_ERROR(CheckInputCount("inputs", request_.inputs_size(), model()));
  CTX_ASSIGN_OR_RETURN(head_, FindHead(model(), HeadTask::kSequenceClassification));
  CTX_ASSIGN_OR_RETURN(function_,
                       ResolveScoreFunction(request_.score_function(), head().score_function));
  if (request_.has_top_k()) {
    CTX_RETURN_IF_ERROR(CheckCount("top_k", request_.top_k(), head().num_outputs));
  }
  HeadPlan plan = {.bypass_cache = request_.bypass_cache(), .num_items = request_.inputs_size()};
  CTX_ASSIGN_OR_RETURN(plan.request.truncation, ResolveTruncation(request_.truncation()));
  for (const v1::Input& input : request_.inputs()) {
    plan.request.needs_tokenizer |= input.has_text() || input.has_text_pair();
  }
  plan.answer_bytes_per_item = kResultOverhead;
  for (const std::string& label : head().labels) {
    plan.answer_bytes_per_item += kLabelOverhead + static_cast<int64_t>(label.size());
  }
  return plan;
}

absl::StatusOr<HeadCall::Item> ClassifyCall::PlanItem(int index) {
  Item item;
  CTX_ASSIGN_OR_RETURN(item.input,
                       PlanInput(request_.inputs(index), absl::StrCat("inputs[", index, "]"),
                                 request_plan(), model()));
  item.output = {.kind = OutputKind::kHead,
                 .dimensions = head().num_outputs,
                 .head = {.index = head_, .rows = head().rows}};
  return item;
}

absl::Status ClassifyCall::Answer(absl::Span<Outcome> outcomes, const v1::Usage& usage) {
  const size_t count = request_.has_top_k() ? request_.top_k() : head().labels.size();
  for (const Outcome& outcome : outcomes) {
    v1::Classification& result = *response_.add_results();
    Describe(outcome, result);
    if (!outcome.status.ok()) continue;
    std::vector<float> scores = FloatsOf(outcome.output);
    ApplyScoreFunction(function_, absl::MakeSpan(scores));
    for (uint32_t id : Highest(scores, count)) {
      v1::LabelScore& label = *result.add_labels();
      label.set_label(head().labels[id]);
      label.set_id(id);
      label.set_score(scores[id]);
    }
  }
  *response_.mutable_usage() = usage;
  response_.set_fingerprint(model().info.fingerprint);
  return absl::OkStatus();
}

}  // namespace contexture
