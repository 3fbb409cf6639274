#include "server/batching/batch_runner.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/without_exceptions.h"

namespace contexture {
namespace {

absl::Status ComputationError(const QueuedTask& task, absl::string_view what) {
  return absl::InternalError(
      absl::StrCat("the computation of a sequence of ", task.task.tokens(), " tokens ", what));
}

}  // namespace

BatchRunner::BatchRunner(const Context& context, int worker, int max_batch_tokens)
    : context_(context), worker_(worker) {
  const size_t tokens = max_batch_tokens;  // and the most sequences
  ids_.reserve(tokens);
  type_ids_.reserve(tokens);
  positions_.reserve(tokens);
  target_ids_.reserve(tokens);
  target_offsets_.reserve(tokens + 1);
  attended_.reserve(tokens);
  offsets_.reserve(tokens + 1);
  slots_.reserve(tokens);
  slot_offsets_.reserve(tokens + 1);
  non_finite_.reserve(tokens);
  statuses_.reserve(tokens);
}

CostSample BatchRunner::Run(std::vector<QueuedTask>& tasks, Team* team) {
  team_ = team;
  const auto work = std::partition(tasks.begin(), tasks.end(),
                                   [](const QueuedTask& task) { return !task.task.work; });
  const size_t sequences = work - tasks.begin();
  const CostSample sample = RunSequences(absl::MakeSpan(tasks).subspan(0, sequences));
  DismissTeam();
  for (QueuedTask& task : absl::MakeSpan(tasks).subspan(sequences)) RunWork(task);
  tasks.clear();
  return sample;
}

void BatchRunner::RunWork(QueuedTask& task) {
  const absl::Duration start = context_.clock.Now();
  // It waited for the rest of its batch.
  if (task.task.cancelled != nullptr && *task.task.cancelled) {
    context_.metrics.RecordCancelled(1);
    return std::move(task.task.done)(absl::CancelledError("the caller cancelled the request"),
                                     {.queue_time = start - task.enqueued, .start = start});
  }
  if (task.task.deadline <= start) {
    context_.metrics.RecordExpired(1);
    return std::move(task.task.done)(
        absl::DeadlineExceededError("the deadline passed before the request's turn came"),
        {.queue_time = start - task.enqueued, .start = start});
  }
  const auto tokens = static_cast<int>(task.task.tokens());
  TaskReport report{.queue_time = start - task.enqueued,
                    .start = start,
                    .batch_sequences = 1,
                    .batch_tokens = tokens};
  context_.metrics.RecordQueueTime(report.queue_time);
  const ModelGeneration& model = *task.task.model;
  absl::Status status = WithoutExceptions(
      [&] { return std::move(task.task.work)(*model.engine, *model.workspaces[worker_]); });
  report.compute_time = context_.clock.Now() - start;
  Record(absl::MakeConstSpan(&task, 1), {.tokens = tokens, .compute_time = report.compute_time});
  std::move(task.task.done)(std::move(status), report);
}

CostSample BatchRunner::RunSequences(absl::Span<QueuedTask> tasks) {
  if (tasks.empty()) return {};
  const absl::Duration start = context_.clock.Now();
  for (const QueuedTask& task : tasks) context_.metrics.RecordQueueTime(start - task.enqueued);
  statuses_.assign(tasks.size(), absl::OkStatus());
  const bool computed = Compute(tasks, absl::MakeSpan(statuses_));
  if (!computed && tasks.size() > 1) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      Compute(absl::MakeConstSpan(tasks).subspan(i, 1), absl::MakeSpan(&statuses_[i], 1));
    }
  }
  BatchRecord batch{.sequences = static_cast<int64_t>(tasks.size()),
                    .compute_time = context_.clock.Now() - start,
                    .helped = DismissTeam()};
  for (const QueuedTask& task : tasks) {
    batch.tokens += task.task.tokens();
    batch.squares += task.task.tokens() * task.task.tokens();
  }
  Record(tasks, batch);
  TaskReport report{.start = start,
                    .compute_time = batch.compute_time,
                    .batch_sequences = static_cast<int>(batch.sequences),
                    .batch_tokens = static_cast<int>(batch.tokens),
                    .batch = Trace(tasks, batch, start)};
  for (size_t i = 0; i < tasks.size(); ++i) {
    report.queue_time = start - tasks[i].enqueued;
    std::move(tasks[i].task.done)(std::move(statuses_[i]), report);
  }
  if (!computed || batch.helped) return {};
  return {.size = {.tokens = batch.tokens, .squares = batch.squares}, .time = batch.compute_time};
}

bool BatchRunner::DismissTeam() {
  Team* team = std::exchange(team_, nullptr);
  if (team == nullptr) return false;
  team->Close();
  return team->helped() > 0;
}

SpanContext BatchRunner::Trace(absl::Span<const QueuedTask> tasks, const BatchRecord& batch,
                               absl::Duration start) const {
  if (context_.tracer == nullptr) return {};
  std::vector<SpanContext> calls;
  const CallTrace* last = nullptr;  // the tasks of a call are often neighbours
  for (const auto& [task, enqueued] : tasks) {
    if (task.trace == nullptr || task.trace.get() == last) continue;
    last = task.trace.get();
    calls.push_back(last->context());
  }
  if (calls.empty()) return {};
  const std::string& precision = tasks.front().task.model->engine->info().precision;
  const SpanAttribute attributes[] = {{"contexture.batch_sequences", batch.sequences},
                                      {"contexture.batch_tokens", batch.tokens},
                                      {"contexture.precision", precision}};
  return context_.tracer->Record({.name = "batch",
                                  .start = start,
                                  .end = start + batch.compute_time,
                                  .attributes = attributes,
                                  .links = calls});
}

void BatchRunner::Record(absl::Span<const QueuedTask> tasks, const BatchRecord& batch) {
  context_.metrics.RecordBatch(batch);
  if (ModelRecorder* recorder = tasks.front().task.model->recorder) {
    recorder->RecordBatch(batch.tokens, batch.compute_time);
  }
  std::array<int64_t, kNumTrafficClasses> computed = {};
  int64_t abandoned = 0;
  for (const auto& [task, enqueued] : tasks) {
    computed[static_cast<size_t>(task.traffic_class)] += task.tokens();
    if (task.cancelled != nullptr && *task.cancelled) abandoned += task.tokens();
  }
  for (int i = 0; i < kNumTrafficClasses; ++i) {
    if (computed[i] > 0) context_.metrics.RecordComputed(static_cast<TrafficClass>(i), computed[i]);
  }
  if (abandoned > 0) context_.metrics.RecordAbandoned(abandoned);
}

void BatchRunner::Assemble(absl::Span<const QueuedTask> tasks) {
  ids_.clear();
  type_ids_.clear();
  positions_.clear();
  attended_.clear();
  offsets_.assign(1, 0);
  target_ids_.clear();
  target_offsets_.assign(1, 0);
  slots_.clear();
  slot_offsets_.assign(1, 0);
  non_finite_.assign(tasks.size(), 0);
  bool any_type_ids = false, any_positions = false, any_attended = false;
  for (const auto& [task, enqueued] : tasks) {
    any_type_ids |= !task.type_ids.empty();
    any_positions |= !task.positions.empty();
    any_attended |= task.attended > 0;
    attended_.push_back(task.attended);
    ids_.insert(ids_.end(), task.ids.begin(), task.ids.end());
    type_ids_.insert(type_ids_.end(), task.type_ids.begin(), task.type_ids.end());
    type_ids_.resize(ids_.size());  // zeros where the task has none
    positions_.insert(positions_.end(), task.positions.begin(), task.positions.end());
    for (size_t i = task.positions.size(); i < task.ids.size(); ++i) {
      positions_.push_back(static_cast<uint32_t>(i));
    }
    target_ids_.insert(target_ids_.end(), task.target_ids.begin(), task.target_ids.end());
    target_offsets_.push_back(static_cast<uint32_t>(target_ids_.size()));
    offsets_.push_back(static_cast<uint32_t>(ids_.size()));
    slots_.insert(slots_.end(), task.outputs.begin(), task.outputs.end());
    slot_offsets_.push_back(static_cast<uint32_t>(slots_.size()));
  }
  if (!any_type_ids) type_ids_.clear();
  if (!any_positions) positions_.clear();
  if (!any_attended) attended_.clear();
  if (target_ids_.empty()) target_offsets_.clear();
}

bool BatchRunner::Compute(absl::Span<const QueuedTask> tasks, absl::Span<absl::Status> statuses) {
  Assemble(tasks);
  const absl::Status run = RunEngine(*tasks.front().task.model);
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (!run.ok()) {
      statuses[i] = ComputationError(tasks[i], absl::StrCat("failed: ", run.message()));
    } else if (non_finite_[i] != 0) {
      statuses[i] = ComputationError(tasks[i], "gave values that are not finite");
    } else {
      statuses[i] = absl::OkStatus();
    }
  }
  return run.ok();
}

absl::Status BatchRunner::RunEngine(const ModelGeneration& model) {
  const PackedBatch batch{.ids = ids_,
                          .type_ids = type_ids_,
                          .offsets = offsets_,
                          .positions = positions_,
                          .attended = attended_,
                          .target_ids = target_ids_,
                          .target_offsets = target_offsets_};
  const OutputPlan plan{
      .slots = slots_, .offsets = slot_offsets_, .non_finite = absl::MakeSpan(non_finite_)};
  Workspace& workspace = *model.workspaces[worker_];
  if (team_ != nullptr) workspace.ShareWith(team_, model.workspaces);
  absl::Status status =
      WithoutExceptions([&] { return model.engine->Run(batch, plan, workspace); });
  if (team_ != nullptr) workspace.ShareWith(nullptr, {});
  return status;
}

}  // namespace contexture
