#include "server/services/fill_mask_call.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "core/engine/top_predictions.h"
#include "server/services/culprits.h"

namespace contexture {
namespace {

constexpr uint32_t kDefaultTopK = 5;
// Upper bounds on the wire. Of a prediction: its message, id, score and the text, which few
// vocabularies make longer.
constexpr int64_t kResultOverhead = 64;
constexpr int64_t kPredictionBytes = 64;

}  // namespace

void FillMaskCall::Start(const Backend& backend, Job job) {
  auto call = std::make_shared<FillMaskCall>(backend, std::move(job));
  static_cast<HeadCall&>(*call).Start();
}

FillMaskCall::FillMaskCall(const Backend& backend, Job job)
    : HeadCall(backend, CallTerms::Of(job)), request_(*job.request), response_(*job.response) {}

absl::StatusOr<HeadCall::HeadPlan> FillMaskCall::Plan() {
  CTX_RETURN_IF_ERROR(CheckModelName(request_.model(), model()));
  CTX_RETURN_IF_ERROR(CheckFingerprint(request_.required_fingerprint(), model()));
  CTX_RETURN_IF_ERROR(CheckInputCount("inputs", request_.inputs_size(), model()));
  CTX_ASSIGN_OR_RETURN(head_, FindHead(model(), HeadTask::kMaskedLm));
  const int most = std::min(TopPredictions::kMax, model().info.config.heads[head_].num_outputs);
  const uint32_t top_k =
      request_.has_top_k() ? request_.top_k() : std::min(kDefaultTopK, static_cast<uint32_t>(most));
  CTX_RETURN_IF_ERROR(CheckCount("top_k", top_k, most));
  top_k_ = static_cast<int>(top_k);
  HeadPlan plan = {.bypass_cache = request_.bypass_cache(),
                   .num_items = request_.inputs_size(),
                   .answer_bytes_per_item = kResultOverhead};
  CTX_ASSIGN_OR_RETURN(plan.request.truncation, ResolveTruncation(request_.truncation()));
  // To find the id of the mask token.
  plan.request.needs_tokenizer = true;
  CTX_RETURN_IF_ERROR(CheckHasTokenizer("", model()));
  positions_.resize(plan.num_items);
  return plan;
}

absl::optional<uint32_t> FillMaskCall::OneToken(const std::string& text) const {
  const auto tokens = model().tokenizer->Tokenize(text, /*add_special_tokens=*/false);
  const auto limit = static_cast<uint32_t>(model().info.config.vocabulary_size);
  if (!tokens.ok() || tokens->size() != 1 || tokens->front().id >= limit) return absl::nullopt;
  // An unknown word is one token too.
  if (model().tokenizer->TokenText(tokens->front().id) != text) return absl::nullopt;
  return tokens->front().id;
}

absl::Status FillMaskCall::UseDirectorysMask(const std::string& mask) {
  const int64_t id = model().tokenizer->TokenId(mask);
  if (id >= 0 && id < model().info.config.vocabulary_size) {
    mask_ = static_cast<uint32_t>(id);
    return absl::OkStatus();
  }
  return MakeError(ErrorReason::kMaskUnknown,
                   absl::StrFormat("the model's directory names the mask token '%s', which is none "
                                   "of its %d tokens; set mask_token",
                                   mask, model().info.config.vocabulary_size),
                   {"mask_token", {{"named", mask}}});
}

absl::Status FillMaskCall::Prepare() {
  if (!request_.mask_token().empty()) {
    const auto given = OneToken(request_.mask_token());
    if (!given.has_value()) {
      return MakeError(ErrorReason::kMaskMissing, "it is not one token of the model's vocabulary",
                       {"mask_token", {}});
    }
    mask_ = *given;
    return absl::OkStatus();
  }
  if (const std::string& mask = model().info.tokenizer_config.mask; !mask.empty()) {
    return UseDirectorysMask(mask);
  }
  std::vector<uint32_t> known;
  for (const char* spelling : {"[MASK]", "<mask>"}) {
    if (const auto id = OneToken(spelling)) known.push_back(*id);
  }
  if (known.size() == 1) {
    mask_ = known[0];
    return absl::OkStatus();
  }
  return MakeError(
      ErrorReason::kMaskUnknown,
      absl::StrFormat("the model's tokenizer knows %d of [MASK] and <mask> as a token; "
                      "set mask_token",
                      known.size()),
      {"mask_token", {{"known", absl::StrCat(known.size())}}});
}

absl::StatusOr<HeadCall::Item> FillMaskCall::PlanItem(int index) {
  const std::string field = absl::StrCat("inputs[", index, "]");
  Item item;
  CTX_ASSIGN_OR_RETURN(item.input,
                       PlanInput(request_.inputs(index), field, request_plan(), model()));
  std::vector<uint32_t>& positions = positions_[index];
  for (size_t i = 0; i < item.input.ids.size(); ++i) {
    if (item.input.ids[i] == mask_) positions.push_back(static_cast<uint32_t>(i));
  }
  if (positions.empty()) {
    return MakeError(ErrorReason::kMaskMissing,
                     absl::StrFormat("none of its %d tokens is the mask token, id %d",
                                     item.input.ids.size(), mask_),
                     {field, {{"got", "0"}, {"min", "1"}}});
  }
  const int num_masks = static_cast<int>(positions.size());
  item.output = {.kind = OutputKind::kHead,
                 .dimensions = 2 * top_k_,
                 .head = {.index = head_,
                          .rows = HeadRows::kEach,
                          .top_k = top_k_,
                          .token = mask_,
                          .num_rows = num_masks}};
  item.answer_bytes = int64_t{num_masks} * top_k_ * kPredictionBytes;
  return item;
}

absl::Status FillMaskCall::Answer(absl::Span<Outcome> outcomes, const v1::Usage& usage) {
  for (size_t i = 0; i < outcomes.size(); ++i) {
    v1::MaskFilling& result = *response_.add_results();
    Describe(outcomes[i], result);
    if (!outcomes[i].status.ok()) continue;
    const char* next = outcomes[i].output.data();
    for (uint32_t position : positions_[i]) {
      v1::MaskedToken& mask = *result.add_masks();
      mask.set_position(position);
      for (int k = 0; k < top_k_; ++k, next += sizeof(Prediction)) {
        Prediction best;
        std::memcpy(&best, next, sizeof(best));
        v1::Prediction& prediction = *mask.add_predictions();
        prediction.set_token_id(best.token);
        prediction.set_text(model().tokenizer->Decode({&best.token, 1}));
        prediction.set_score(best.score);
      }
    }
  }
  *response_.mutable_usage() = usage;
  response_.set_fingerprint(model().info.fingerprint);
  return absl::OkStatus();
}

}  // namespace contexture
