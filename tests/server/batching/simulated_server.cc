#include "tests/server/batching/simulated_server.h"

#include <algorithm>
#include <memory>

namespace contexture::test_support {

SimulatedServer::SimulatedServer(const Options& options)
    : options_(options),
      model_(
          std::make_shared<ModelGeneration>(nullptr, options.workers, CostModel(MeasureAtStart()))),
      scheduler_({.num_workers = options.workers,
                  .policy = {.max_batch_tokens = options.max_batch_tokens},
                  .queue = options.queue,
                  .target_p99 = options.target_p99}),
      busy_(options.workers, false) {}

std::vector<CostSample> SimulatedServer::MeasureAtStart() const {
  std::vector<CostSample> samples;
  const int64_t full = options_.max_batch_tokens;
  for (const BatchSize& size :
       {BatchSize{8, 64}, BatchSize{full, full * 32}, BatchSize{full, full * full}}) {
    samples.push_back({.size = size, .time = absl::Seconds(Seconds(size))});
  }
  return samples;
}

std::vector<SimulatedServer::Outcome> SimulatedServer::Run(const std::vector<Request>& requests) {
  std::vector<Outcome> outcomes(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    At(requests[i].arrival,
       [this, &request = requests[i], &outcome = outcomes[i]] { Arrive(request, outcome); });
  }
  while (!events_.empty()) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.time;
    event.happen();
    Dispatch();
    most_waiting_ = std::max(most_waiting_, scheduler_.queue().tokens());
  }
  return outcomes;
}

void SimulatedServer::Arrive(const Request& request, Outcome& outcome) {
  outcome = {.request = request, .done = now_};
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  std::vector<Task> tasks;
  for (int length : request.lengths) {
    Task task;
    task.model = model_;
    task.ids.assign(length, 1);
    task.deadline = request.arrival + request.timeout;
    task.traffic_class = request.traffic_class;
    task.tenant = request.tenant;
    task.cancelled = cancelled;
    task.done = [this, &outcome](absl::Status status, const TaskReport& report) {
      outcome.done = now_;
      outcome.computed += report.batch_sequences > 0 ? 1 : 0;
      if (!status.ok()) outcome.status = std::move(status);
    };
    tasks.push_back(std::move(task));
  }
  outcome.status = scheduler_.Schedule(absl::MakeSpan(tasks), now_);
  if (!outcome.status.ok() || request.leaves_after == absl::InfiniteDuration()) return;
  At(now_ + request.leaves_after, [this, cancelled] {
    *cancelled = true;
    std::vector<QueuedTask> forgotten;
    scheduler_.RemoveOf(cancelled.get(), forgotten);
    Answer(forgotten, absl::CancelledError("left"));
  });
}

void SimulatedServer::Answer(std::vector<QueuedTask>& tasks, const absl::Status& status) {
  for (QueuedTask& queued : tasks) std::move(queued.task.done)(status, {});
  tasks.clear();
}

void SimulatedServer::Dispatch() {
  for (int worker = 0; worker < options_.workers; ++worker) {
    while (!busy_[worker] && scheduler_.queue().size() > 0 && !Compute(worker)) {
    }
  }
}

bool SimulatedServer::Compute(int worker) {
  Departures departures;
  scheduler_.Take(worker, now_, departures);
  Answer(departures.expired, absl::DeadlineExceededError("expired"));
  Answer(departures.cancelled, absl::CancelledError("left"));
  if (departures.taken.empty()) return false;
  BatchSize size;
  for (const auto& [task, enqueued] : departures.taken) {
    size.tokens += task.tokens();
    size.squares += task.tokens() * task.tokens();
    computed_[static_cast<size_t>(task.traffic_class)] += task.tokens();
  }
  largest_batch_ = std::max(largest_batch_, size.tokens);
  std::uniform_real_distribution<double> noise(1 - options_.noise, 1 + options_.noise);
  const absl::Duration time = absl::Seconds(Seconds(size) * noise(random_));
  busy_[worker] = true;
  auto batch = std::make_shared<std::vector<QueuedTask>>(std::move(departures.taken));
  At(now_ + time, [this, worker, batch, sample = CostSample{.size = size, .time = time}] {
    for (QueuedTask& queued : *batch) {
      std::move(queued.task.done)(absl::OkStatus(), {.batch_sequences = 1});
    }
    scheduler_.Finish(worker, sample, now_);
    busy_[worker] = false;
  });
  return true;
}

double SimulatedServer::Seconds(const BatchSize& size) const {
  return options_.fixed_seconds + options_.seconds_per_token * static_cast<double>(size.tokens) +
         options_.seconds_per_square * static_cast<double>(size.squares);
}

double SimulatedServer::TokensPerSecond(int length) const {
  const int64_t tokens = options_.max_batch_tokens;
  const BatchSize full = {.tokens = tokens, .squares = tokens * length};
  return options_.workers * static_cast<double>(tokens) / Seconds(full);
}

}  // namespace contexture::test_support
