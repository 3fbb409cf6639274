#include "server/services/encode_call.h"

#include <map>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "core/base/without_exceptions.h"
#include "server/services/call_record.h"
#include "server/services/output_specs.h"
#include "server/services/sparse_weights.h"
#include "server/services/status_mapping.h"

namespace contexture {
namespace {

template <typename To>
void Assign(const std::vector<uint32_t>& from, To& to) {
  to.Assign(from.begin(), from.end());
}

void FillOrigins(const PlannedInput& input, v1::Result& result) {
  const TokenOrigins& origins = input.origins;
  Assign(origins.begins, *result.mutable_token_begins());
  Assign(origins.ends, *result.mutable_token_ends());
  result.mutable_special_tokens_mask()->Assign(origins.special.begin(), origins.special.end());
  if (input.is_pair) Assign(origins.text_indices, *result.mutable_token_sequence_ids());
}

// The message outlives the task, whose slots point into it.
const v1::ResolvedSpans& AddSpans(const PlannedInput& input, const SpanColumns& spans,
                                  v1::Result& result) {
  v1::ResolvedSpans& resolved = *result.add_spans();
  Assign(spans.begins, *resolved.mutable_token_begins());
  Assign(spans.ends, *resolved.mutable_token_ends());
  const TokenOrigins& origins = input.origins;
  if (origins.begins.empty() || input.is_pair) return resolved;
  for (size_t i = 0; i < spans.begins.size(); ++i) {
    uint32_t first = spans.begins[i], last = spans.ends[i] - 1;
    while (first < last && origins.begins[first] == origins.ends[first]) ++first;
    while (last > first && origins.begins[last] == origins.ends[last]) --last;
    resolved.add_byte_begins(origins.begins[first]);
    resolved.add_byte_ends(origins.ends[last]);
  }
  return resolved;
}

}  // namespace

void EncodeCall::Start(const Backend& backend, Job job) {
  auto call = std::make_shared<EncodeCall>(backend, std::move(job));
  auto plan = PlanRequest(*call->job_.request, backend.model);
  if (!plan.ok()) return call->Complete(plan.status());
  call->plan_ = *std::move(plan);
  if (!call->plan_.needs_tokenizer) return call->Prepare();
  absl::Status submitted = backend.tokenizer_pool.Submit([call] { call->Prepare(); });
  if (!submitted.ok()) call->Complete(std::move(submitted));
}

int EncodeCall::num_inputs() const {
  return job_.num_inputs > 0 ? job_.num_inputs : job_.request->inputs_size() - job_.first_input;
}

void EncodeCall::Prepare() {
  absl::Status status = WithoutExceptions([this] { return Schedule(); });
  if (!status.ok()) Complete(std::move(status));
}

absl::Status EncodeCall::Schedule() {
  CTX_ASSIGN_OR_RETURN(Inputs inputs, PlanInputs());
  const int64_t most =
      job_.max_answer_bytes > 0 ? job_.max_answer_bytes : backend_.model.max_message_bytes;
  CTX_ASSIGN_OR_RETURN(const int64_t answer_bytes, AnswerBytes(plan_, inputs, most));
  CTX_RETURN_IF_ERROR(backend_.ReserveAnswer(answer_bytes + num_inputs() * DenseBytes(plan_),
                                             num_inputs(), *job_.memory));
  const auto self = shared_from_this();  // the last task may finish before Schedule returns
  std::vector<Task> tasks = BuildTasks(std::move(inputs));
  if (tasks.empty()) {
    FinishTasks();
    return absl::OkStatus();
  }
  remaining_ = static_cast<int>(tasks.size());
  const size_t num_tasks = tasks.size();
  absl::Status scheduled = backend_.Schedule(tasks);
  if (!scheduled.ok()) {
    backend_.metrics.RecordRefused(RefusalReasonOf(scheduled), static_cast<int64_t>(num_tasks));
  }
  return scheduled;
}

absl::StatusOr<EncodeCall::Inputs> EncodeCall::PlanInputs() {
  const absl::Duration start = backend_.clock.Now();
  const ScopedSpan span(plan_.needs_tokenizer ? job_.caller.trace.get() : nullptr, "tokenize",
                        backend_.clock);
  Inputs inputs;
  inputs.reserve(num_inputs());
  for (int i = job_.first_input; i < job_.first_input + num_inputs(); ++i) {
    CTX_RETURN_IF_ERROR(CheckStillWanted(job_.cancelled.get(), job_.deadline, backend_.clock));
    inputs.push_back(PlanInput(job_.request->inputs(i), absl::StrFormat("inputs[%d]", i), plan_,
                               backend_.model));
  }
  if (plan_.needs_tokenizer) backend_.metrics.RecordTokenize(backend_.clock.Now() - start);
  return inputs;
}

std::vector<Task> EncodeCall::BuildTasks(Inputs inputs) {
  std::vector<Task> tasks;
  tasks.reserve(inputs.size());
  job_.response->mutable_results()->Reserve(static_cast<int>(inputs.size()));
  for (auto& input : inputs) {
    v1::Result& result = *job_.response->add_results();
    if (input.ok()) {
      tasks.push_back(BuildTask(*std::move(input), result));
    } else {
      *result.mutable_status() = ToProtoStatus(input.status());
    }
  }
  return tasks;
}

Task EncodeCall::BuildTask(PlannedInput input, v1::Result& result) {
  const std::vector<uint32_t>& output_ids = input.output_ids();
  const int length = static_cast<int>(output_ids.size());
  result.set_token_count(input.tokens());
  result.set_truncated(input.truncated());
  result.set_original_token_count(input.original_length +
                                  static_cast<uint32_t>(input.target_ids.size()));
  if (plan_.returns_token_ids) {
    result.mutable_token_ids()->Assign(output_ids.begin(), output_ids.end());
  }
  if (plan_.returns_token_ids && !input.origins.begins.empty()) FillOrigins(input, result);
  Task task;
  size_t spans = 0;
  for (const OutputSpec& spec : plan_.outputs) {
    v1::Tensor& tensor = *result.add_outputs();
    tensor.set_data_type(ToProto(spec.data_type));
    OutputSlot slot = {.spec = spec};
    if (spec.kind == OutputKind::kTokens) tensor.add_shape(length);
    if (HasChosenRows(spec)) {
      tensor.add_shape(static_cast<int64_t>(input.scored.size()));
      Assign(input.scored, *tensor.mutable_indices());
      slot.tokens = tensor.indices();
    }
    if (spec.kind == OutputKind::kSpans) {
      const v1::ResolvedSpans& resolved = AddSpans(input, input.spans[spans++], result);
      tensor.add_shape(resolved.token_begins_size());
      slot.span_begins = resolved.token_begins();
      slot.span_ends = resolved.token_ends();
    }
    tensor.add_shape(spec.dimensions);
    tensor.mutable_data()->resize(OutputBytes(slot, length));
    slot.destination = &(*tensor.mutable_data())[0];
    task.outputs.push_back(slot);
  }
  task.ids = std::move(input.ids);
  task.type_ids = std::move(input.type_ids);
  task.positions = std::move(input.positions);
  task.attended = input.attended;
  task.target_ids = std::move(input.target_ids);
  task.deadline = job_.deadline;
  task.cancelled = job_.cancelled;
  SetCaller(job_.caller, task);
  task.shareable = !job_.request->bypass_cache();
  task.done = [call = shared_from_this(), &result](absl::Status status, const TaskReport& report) {
    call->OnTaskDone(std::move(status), report, result);
  };
  return task;
}

void EncodeCall::OnTaskDone(absl::Status status, const TaskReport& report, v1::Result& result) {
  {
    absl::MutexLock lock(&mutex_);
    const bool computed = tally_.Add(report, static_cast<int>(result.token_count()));
    if (computed && job_.caller.trace != nullptr) {
      TraceCompute(*job_.caller.trace, report, backend_.model);
    }
    if (IsRequestWide(status.code()) && request_status_.ok()) request_status_ = status;
  }
  for (int i = 0; status.ok() && i < result.outputs_size(); ++i) {
    if (plan_.sparse[i].wanted) KeepSparse(plan_.sparse[i], *result.mutable_outputs(i));
  }
  result.set_cached(report.cached);
  if (!status.ok()) {
    result.Clear();
    *result.mutable_status() = ToProtoStatus(status);
  }
  if (remaining_.fetch_sub(1, std::memory_order_acq_rel) == 1) FinishTasks();
}

void EncodeCall::FinishTasks() {
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    status = request_status_;
    *job_.response->mutable_usage() = tally_.usage();
    if (job_.caller.trace != nullptr && !tally_.longest_wait().cached) {
      TraceQueue(*job_.caller.trace, tally_.longest_wait());
    }
  }
  uint64_t tokens = 0, cached_tokens = 0;
  for (const v1::Result& result : job_.response->results()) {
    tokens += result.token_count();
    if (result.cached()) cached_tokens += result.token_count();
  }
  job_.response->mutable_usage()->set_token_count(tokens);
  job_.response->mutable_usage()->set_cached_token_count(cached_tokens);
  job_.response->set_fingerprint(backend_.model.info.fingerprint);
  Complete(std::move(status));
}

void EncodeCall::RecordItems(absl::StatusCode request_code) const {
  // A request that failed as a whole may have no results.
  if (request_code != absl::StatusCode::kOk) {
    return backend_.metrics.RecordItems(request_code, num_inputs());
  }
  int64_t truncated = 0;
  std::map<int, int64_t> items_by_code;
  for (const v1::Result& result : job_.response->results()) {
    ++items_by_code[result.status().code()];
    if (result.truncated()) ++truncated;
  }
  for (const auto& [code, items] : items_by_code) {
    backend_.metrics.RecordItems(static_cast<absl::StatusCode>(code), items);
  }
  if (truncated > 0) backend_.metrics.RecordTruncatedItems(truncated);
}

void EncodeCall::Complete(absl::Status status) {
  RecordItems(status.code());
  std::move(job_.done)(WithDetails(std::move(status)));
}

}  // namespace contexture
