#include "server/services/request_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "server/services/culprits.h"

namespace contexture {
namespace {

// Upper bounds of what protobuf adds to the data itself: tags, lengths, shape, counts.
constexpr int64_t kTensorOverhead = 48;
constexpr int64_t kResultOverhead = 80;
constexpr int64_t kVarintBytes = 5;                     // the longest of 32 bits
constexpr int64_t kOriginBytes = 2 * kVarintBytes + 2;  // begin, end, special, which text
constexpr int64_t kSpansOverhead = 24;
constexpr int64_t kSpanBytes = 4 * kVarintBytes;

absl::Status CheckCounts(const v1::EncodeRequest& request, const ServedModel& model) {
  CTX_RETURN_IF_ERROR(CheckInputCount("inputs", request.inputs_size(), model));
  if (request.outputs_size() > kMaxOutputs) {
    return MakeError(ErrorReason::kTooManyOutputs,
                     absl::StrFormat("the request has %d outputs, at most %d are allowed",
                                     request.outputs_size(), kMaxOutputs),
                     GotAndMax("outputs", request.outputs_size(), kMaxOutputs));
  }
  return absl::OkStatus();
}

// FAILED_PRECONDITION: the model knows no roles.
absl::StatusOr<InputRole> ResolveRole(v1::InputRole role, const ServedModel& model) {
  if (!v1::InputRole_IsValid(role)) return UnknownEnumValue("role", role, v1::InputRole_MAX);
  if (role == v1::INPUT_ROLE_UNSPECIFIED) return InputRole::kNone;
  if (model.late_interaction != nullptr) {
    return role == v1::INPUT_ROLE_QUERY ? InputRole::kQuery : InputRole::kDocument;
  }
  return MakeError(ErrorReason::kHeadMissing,
                   absl::StrFormat("the model '%s' has no %s head, so its inputs have no roles",
                                   model.name, Name(HeadTask::kLateInteraction)),
                   {"role", {{"needed", Name(HeadTask::kLateInteraction)}}});
}

// PLAN has the role and its prompt.
absl::StatusOr<std::string> ResolvePrompt(const v1::EncodeRequest& request, const RequestPlan& plan,
                                          const PromptConfig& config) {
  if (request.has_prompt()) return request.prompt();
  const bool chosen = !request.prompt_name().empty();
  if (!chosen && plan.role != InputRole::kNone) return plan.prompt;
  if (!chosen && config.default_name.empty()) return std::string();
  const auto found = config.prompts.find(chosen ? request.prompt_name() : config.default_name);
  if (found != config.prompts.end()) return found->second;
  // The name asked for is the caller's data and is not repeated.
  std::vector<std::string> names;
  for (const auto& [name, prompt] : config.prompts) names.push_back(name);
  const std::string known = absl::StrJoin(names, ", ");
  return MakeError(ErrorReason::kPromptUnknown,
                   absl::StrFormat("the model has no prompt of this name; it has: %s",
                                   known.empty() ? "none" : known),
                   {"prompt_name", {{"known", known}}});
}

void AddOutput(ResolvedOutput output, RequestPlan& plan) {
  if (!output.int8_ranges.empty()) {
    // A vector that moves keeps its elements where they are.
    plan.int8_ranges.push_back(std::move(output.int8_ranges));
    output.spec.int8_ranges = plan.int8_ranges.back().data();
  }
  plan.outputs.push_back(output.spec);
  plan.windows.push_back(output.windows);
  plan.sparse.push_back(output.sparse);
  const bool tokens = output.spec.kind == OutputKind::kTokens;
  const bool spans = output.spec.kind == OutputKind::kSpans;
  const bool scored = HasChosenRows(output.spec);
  plan.scores_tokens = plan.scores_tokens || scored;
  plan.returns_token_ids = plan.returns_token_ids || tokens || scored;
  plan.takes_spans = plan.takes_spans || (spans && output.windows.size == 0);
  plan.needs_origins = plan.needs_origins || tokens || spans;
}

bool IsSparse(const RequestPlan& plan, size_t output) {
  return output < plan.sparse.size() && plan.sparse[output].wanted;
}

int64_t SparseBytes(const SparseRule& rule, int vocabulary_size) {
  const int64_t most = vocabulary_size;
  const int64_t kept = rule.top_k == 0 ? most : std::min<int64_t>(rule.top_k, most);
  return kept * (kVarintBytes + static_cast<int64_t>(ByteSize(rule.data_type)));
}

int64_t ResultBytes(const RequestPlan& plan, const PlannedInput& input) {
  const int length = static_cast<int>(input.output_ids().size());
  int64_t bytes = kResultOverhead;
  if (plan.returns_token_ids) bytes += kVarintBytes * length;
  if (plan.returns_token_ids && !input.origins.begins.empty()) bytes += kOriginBytes * length;
  size_t spans = 0;
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const OutputSpec& spec = plan.outputs[i];
    bytes += kTensorOverhead;
    if (IsSparse(plan, i)) {
      bytes += SparseBytes(plan.sparse[i], spec.dimensions);
      continue;
    }
    if (HasChosenRows(spec)) {
      bytes += static_cast<int64_t>(input.scored.size() * (RowBytes(spec) + kVarintBytes));
      continue;
    }
    if (spec.kind != OutputKind::kSpans) {
      bytes += static_cast<int64_t>(OutputBytes(spec, length));
      continue;
    }
    const auto rows = static_cast<int64_t>(input.spans[spans++].begins.size());
    bytes += kSpansOverhead + rows * (kSpanBytes + static_cast<int64_t>(RowBytes(spec)));
  }
  return bytes;
}

}  // namespace

absl::Status CheckModelName(absl::string_view name, const ServedModel& model) {
  if (name.empty() || name == model.name) return absl::OkStatus();
  // The name asked for is the caller's data and is not repeated.
  return MakeError(ErrorReason::kModelNotFound,
                   absl::StrFormat("no model has this name; served: '%s'", model.name),
                   {"model", {{"served", model.name}}});
}

absl::Status CheckFingerprint(absl::string_view required, const ServedModel& model) {
  const std::string& served = model.info.fingerprint;
  if (required.empty() || required == served) return absl::OkStatus();
  // What was asked for is the caller's data and is not repeated.
  return MakeError(ErrorReason::kFingerprintMismatch,
                   absl::StrFormat("it is not the fingerprint of the model '%s', which is '%s'",
                                   model.name, served),
                   {"required_fingerprint", {{"model", model.name}, {"served", served}}});
}

absl::Status CheckInputCount(absl::string_view field, int count, const ServedModel& model) {
  if (count == 0) {
    return MakeError(ErrorReason::kNoInputs,
                     absl::StrFormat("the request has no %s, at least 1 is needed", field),
                     {std::string(field), {{"got", "0"}, {"min", "1"}}});
  }
  if (count <= model.max_inputs_per_request) return absl::OkStatus();
  return MakeError(ErrorReason::kTooManyInputs,
                   absl::StrFormat("the request has %d %s, at most %d are allowed", count, field,
                                   model.max_inputs_per_request),
                   GotAndMax(field, count, model.max_inputs_per_request));
}

void SetRole(InputRole role, const ServedModel& model, RequestPlan& plan) {
  const EngineInfo& info = model.info;
  const LateInteractionConfig& config = model.late_interaction->config;
  const int longest = info.config.max_length;
  plan.role = role;
  plan.max_text_length = MostTokens(config, role, info.max_text_length, longest);
  plan.max_ids_length = MostTokens(config, role, longest, longest);
  const auto prompt = info.prompts.prompts.find(role == InputRole::kQuery ? "query" : "document");
  plan.prompt = prompt == info.prompts.prompts.end() ? std::string() : prompt->second;
}

absl::StatusOr<Truncation> ResolveTruncation(v1::Truncation truncation) {
  switch (truncation) {
    case v1::TRUNCATION_UNSPECIFIED:
    case v1::TRUNCATION_ERROR:
      return Truncation::kError;
    case v1::TRUNCATION_RIGHT:
      return Truncation::kRight;
    case v1::TRUNCATION_LEFT:
      return Truncation::kLeft;
    default:
      return UnknownEnumValue("truncation", truncation, v1::Truncation_MAX);
  }
}

absl::StatusOr<RequestPlan> PlanRequest(const v1::EncodeRequest& request,
                                        const ServedModel& model) {
  CTX_RETURN_IF_ERROR(CheckModelName(request.model(), model));
  CTX_RETURN_IF_ERROR(CheckFingerprint(request.required_fingerprint(), model));
  CTX_RETURN_IF_ERROR(CheckCounts(request, model));
  RequestPlan plan;
  CTX_ASSIGN_OR_RETURN(plan.truncation, ResolveTruncation(request.truncation()));
  CTX_ASSIGN_OR_RETURN(const InputRole role, ResolveRole(request.role(), model));
  if (role != InputRole::kNone) SetRole(role, model, plan);
  CTX_ASSIGN_OR_RETURN(plan.prompt, ResolvePrompt(request, plan, model.info.prompts));
  for (int i = 0; i < request.outputs_size(); ++i) {
    CTX_ASSIGN_OR_RETURN(ResolvedOutput output, ResolveOutput(request.outputs(i), i, model.info));
    AddOutput(std::move(output), plan);
  }
  if (plan.outputs.empty()) {
    CTX_ASSIGN_OR_RETURN(ResolvedOutput output, ResolveOutput(v1::OutputSpec(), 0, model.info));
    AddOutput(std::move(output), plan);
  }
  for (const v1::Input& input : request.inputs()) {
    plan.needs_tokenizer = plan.needs_tokenizer || input.has_text() || input.has_text_pair();
  }
  return plan;
}

int64_t DenseBytes(const RequestPlan& plan) {
  int64_t bytes = 0;
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    if (IsSparse(plan, i)) bytes += static_cast<int64_t>(RowBytes(plan.outputs[i]));
  }
  return bytes;
}

absl::StatusOr<int64_t> AnswerBytes(const RequestPlan& plan,
                                    absl::Span<const absl::StatusOr<PlannedInput>> inputs,
                                    int64_t max_bytes) {
  int64_t bytes = 0;
  for (const auto& input : inputs) {
    bytes += input.ok() ? ResultBytes(plan, *input) : kResultOverhead;
  }
  if (bytes <= max_bytes) return bytes;
  return MakeError(
      ErrorReason::kAnswerTooLarge,
      absl::StrFormat("the answer would take about %d bytes, at most %d are allowed: send fewer "
                      "inputs, ask for fewer outputs, dimensions or bytes per element, or take it "
                      "in chunks (EncodeChunked)",
                      bytes, max_bytes),
      GotAndMax("outputs", bytes, max_bytes));
}

}  // namespace contexture
