#include "server/services/head_call.h"

#include <map>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/base/without_exceptions.h"
#include "server/services/call_record.h"
#include "server/services/culprits.h"

namespace contexture {

absl::StatusOr<int> FindHead(const ServedModel& model, HeadTask task) {
  const std::vector<HeadConfig>& heads = model.info.config.heads;
  std::vector<std::string> known;
  for (size_t i = 0; i < heads.size(); ++i) {
    if (heads[i].task == task) return static_cast<int>(i);
    known.emplace_back(Name(heads[i].task));
  }
  const std::string list = known.empty() ? "none" : absl::StrJoin(known, ", ");
  return MakeError(
      ErrorReason::kHeadMissing,
      absl::StrFormat("the model '%s' has no %s head; its heads: %s", model.name, Name(task), list),
      {"", {{"needed", Name(task)}, {"heads", list}}});
}

absl::Status CheckCount(absl::string_view field, uint32_t count, int max) {
  if (count >= 1 && count <= static_cast<uint32_t>(max)) return absl::OkStatus();
  return MakeError(ErrorReason::kCountOutOfRange,
                   absl::StrFormat("%d asked for, 1 to %d are allowed", count, max),
                   GotAndMax(field, count, max));
}

void HeadCall::Start() {
  auto plan = Plan();
  if (!plan.ok()) return Complete(plan.status());
  plan_ = *std::move(plan);
  if (!plan_.request.needs_tokenizer) return PrepareAndSchedule();
  absl::Status submitted =
      backend_.tokenizer_pool.Submit([call = shared_from_this()] { call->PrepareAndSchedule(); });
  if (!submitted.ok()) Complete(std::move(submitted));
}

void HeadCall::PrepareAndSchedule() {
  absl::Status status = WithoutExceptions([this] { return Schedule(); });
  if (!status.ok()) Complete(std::move(status));
}

absl::Status HeadCall::Schedule() {
  outcomes_.resize(plan_.num_items);
  CTX_ASSIGN_OR_RETURN(std::vector<Task> tasks, PlanTasks());
  scheduled_ = backend_.clock.Now();
  if (tasks.empty()) {
    OnAllDone();
    return absl::OkStatus();
  }
  const auto self = shared_from_this();  // the last task may finish before Schedule returns
  const auto num_tasks = static_cast<int64_t>(tasks.size());
  remaining_ = static_cast<int>(num_tasks);
  absl::Status scheduled = backend_.Schedule(tasks);
  if (!scheduled.ok()) backend_.metrics.RecordRefused(RefusalReasonOf(scheduled), num_tasks);
  return scheduled;
}

absl::StatusOr<std::vector<Task>> HeadCall::PlanTasks() {
  const absl::Duration start = backend_.clock.Now();
  const ScopedSpan span(plan_.request.needs_tokenizer ? terms_.caller.trace.get() : nullptr,
                        "tokenize", backend_.clock);
  CTX_RETURN_IF_ERROR(CheckStillWanted());
  CTX_RETURN_IF_ERROR(Prepare());
  int64_t answer_bytes = 0, output_bytes = 0;
  std::vector<std::pair<int, Item>> items;
  for (int i = 0; i < plan_.num_items; ++i) {
    CTX_RETURN_IF_ERROR(CheckStillWanted());
    absl::StatusOr<Item> item = PlanItem(i);
    answer_bytes += plan_.answer_bytes_per_item;
    if (!item.ok()) {
      outcomes_[i].status = item.status();
      continue;
    }
    answer_bytes += item->answer_bytes;
    output_bytes += static_cast<int64_t>(
        OutputBytes(item->output, static_cast<int>(item->input.output_ids().size())));
    items.emplace_back(i, *std::move(item));
  }
  if (plan_.request.needs_tokenizer) {
    backend_.metrics.RecordTokenize(backend_.clock.Now() - start);
  }
  CTX_RETURN_IF_ERROR(ReserveMemory(answer_bytes, output_bytes));
  std::vector<Task> tasks;
  tasks.reserve(items.size());
  for (auto& [index, item] : items) tasks.push_back(BuildTask(std::move(item), outcomes_[index]));
  return tasks;
}

absl::Status HeadCall::CheckStillWanted() const {
  return contexture::CheckStillWanted(terms_.cancelled.get(), terms_.deadline, backend_.clock);
}

// The outputs lie beside the answer that is made of them.
absl::Status HeadCall::ReserveMemory(int64_t answer_bytes, int64_t output_bytes) {
  const int64_t max = backend_.model.max_message_bytes;
  if (answer_bytes > max || (plan_.answers_outputs && output_bytes > max)) {
    const int64_t bytes = std::max(answer_bytes, output_bytes);
    return MakeError(
        ErrorReason::kAnswerTooLarge,
        absl::StrFormat("the answer would take about %d bytes, a message has at most %d: send "
                        "fewer or shorter inputs",
                        bytes, max),
        GotAndMax("", bytes, max));
  }
  // Of a call that is alone the budget refuses nothing.
  const int64_t held = AnswerMemory(answer_bytes + output_bytes);
  const int64_t memory = backend_.memory.max_bytes();
  if (held > memory) {
    return MakeError(
        ErrorReason::kAnswerTooLarge,
        absl::StrFormat("what the answer is made of would take about %d bytes, all calls together "
                        "have %d: send fewer or shorter inputs",
                        held, memory),
        GotAndMax("", held, memory));
  }
  return backend_.ReserveAnswer(answer_bytes + output_bytes, plan_.num_items, *terms_.memory);
}

Task HeadCall::BuildTask(Item item, Outcome& outcome) {
  const int length = static_cast<int>(item.input.output_ids().size());
  outcome.tokens = item.input.tokens();
  outcome.truncated = item.input.truncated();
  outcome.original_tokens = item.input.original_length;
  outcome.scored = std::move(item.input.scored);
  OutputSlot slot = {.spec = item.output};
  slot.tokens = outcome.scored;
  outcome.output.resize(OutputBytes(slot, length));
  slot.destination = outcome.output.data();
  Task task;
  task.outputs.push_back(slot);
  task.ids = std::move(item.input.ids);
  task.type_ids = std::move(item.input.type_ids);
  task.positions = std::move(item.input.positions);
  task.attended = item.input.attended;
  task.deadline = terms_.deadline;
  task.cancelled = terms_.cancelled;
  SetCaller(terms_.caller, task);
  task.shareable = !plan_.bypass_cache;
  task.done = [call = shared_from_this(), &outcome](absl::Status status, const TaskReport& report) {
    call->OnTaskDone(std::move(status), report, outcome);
  };
  return task;
}

void HeadCall::Tally(const TaskReport& report, int tokens) {
  const bool first = tally_.Add(report, tokens);
  CallTrace* trace = terms_.caller.trace.get();
  if (trace != nullptr && first) TraceCompute(*trace, report, backend_.model);
}

void HeadCall::OnTaskDone(absl::Status status, const TaskReport& report, Outcome& outcome) {
  {
    absl::MutexLock lock(&mutex_);
    Tally(report, static_cast<int>(outcome.tokens));
    any_waited_ |= !report.cached || report.joined;
    if (IsRequestWide(status.code()) && request_status_.ok()) request_status_ = status;
  }
  outcome.cached = report.cached;
  outcome.status = std::move(status);
  if (remaining_.fetch_sub(1, std::memory_order_acq_rel) == 1) OnAllDone();
}

void HeadCall::OnAllDone() {
  absl::Status status;
  bool any_waited = false, scheduled = false;
  {
    absl::MutexLock lock(&mutex_);
    status = request_status_;
    any_waited = any_waited_;
  }
  // On a worker's thread: no exception may leave.
  if (status.ok()) {
    status = WithoutExceptions([&]() -> absl::Status {
      const int64_t tokens = MergeTokens(outcomes_);
      if (tokens == 0) return Merge(outcomes_);
      CTX_RETURN_IF_ERROR(ScheduleMerge(tokens, any_waited));
      scheduled = true;
      return absl::OkStatus();
    });
  }
  if (!scheduled) Finish(std::move(status));
}

absl::Status HeadCall::ScheduleMerge(int64_t tokens, bool any_waited) {
  Task task;
  task.work = [call = shared_from_this()](const Engine&, Workspace&) {
    return call->Merge(call->outcomes_);
  };
  task.work_tokens = tokens;
  // Else all came from the cache: the queue has admitted nothing of the call yet.
  task.takes_place = any_waited;
  task.waits_since = scheduled_;
  task.deadline = terms_.deadline;
  task.cancelled = terms_.cancelled;
  SetCaller(terms_.caller, task);
  task.done = [call = shared_from_this()](absl::Status status, const TaskReport& report) {
    {
      absl::MutexLock lock(&call->mutex_);
      call->Tally(report, report.batch_tokens);
    }
    call->Finish(std::move(status));
  };
  std::vector<Task> tasks;
  tasks.push_back(std::move(task));
  absl::Status scheduled = backend_.Schedule(tasks);
  if (!scheduled.ok()) {
    backend_.metrics.RecordRefused(RefusalReasonOf(scheduled), plan_.num_items);
  }
  return scheduled;
}

void HeadCall::Finish(absl::Status status) {
  v1::Usage usage;
  {
    absl::MutexLock lock(&mutex_);
    usage = tally_.usage();
    CallTrace* trace = terms_.caller.trace.get();
    if (trace != nullptr && !tally_.longest_wait().cached) {
      TraceQueue(*trace, tally_.longest_wait());
    }
  }
  uint64_t tokens = 0, cached_tokens = 0;
  for (const Outcome& outcome : outcomes_) {
    if (!outcome.status.ok()) continue;
    tokens += outcome.tokens;
    if (outcome.cached) cached_tokens += outcome.tokens;
  }
  usage.set_token_count(tokens);
  usage.set_cached_token_count(cached_tokens);
  if (status.ok()) {
    status = WithoutExceptions([&] { return Answer(absl::MakeSpan(outcomes_), usage); });
  }
  Complete(std::move(status));
}

void HeadCall::RecordItems(absl::StatusCode request_code) const {
  if (request_code != absl::StatusCode::kOk) {
    return backend_.metrics.RecordItems(request_code, plan_.num_items);
  }
  int64_t truncated = 0;
  std::map<absl::StatusCode, int64_t> items_by_code;
  for (const Outcome& outcome : outcomes_) {
    ++items_by_code[outcome.status.code()];
    if (outcome.status.ok() && outcome.truncated) ++truncated;
  }
  for (const auto& [code, items] : items_by_code) backend_.metrics.RecordItems(code, items);
  if (truncated > 0) backend_.metrics.RecordTruncatedItems(truncated);
}

void HeadCall::Complete(absl::Status status) {
  RecordItems(status.code());
  std::move(terms_.done)(WithDetails(std::move(status)));
}

}  // namespace contexture
