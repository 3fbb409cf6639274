#include "server/batching/batcher.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/denormals.h"
#include "core/base/status_macros.h"
#include "core/base/team.h"
#include "server/batching/batch_runner.h"
#include "server/batching/batcher_metrics.h"
#include "server/batching/scheduler.h"

namespace contexture {
namespace {

constexpr char kCallerLeft[] = "the caller cancelled the request";

// Answers TASKS, which were not computed, with STATUS and leaves none.
void AnswerAll(std::vector<QueuedTask>& tasks, const absl::Status& status, absl::Duration now) {
  for (QueuedTask& queued : tasks) {
    std::move(queued.task.done)(status, {.queue_time = now - queued.enqueued, .start = now});
  }
  tasks.clear();
}

class ThreadedBatcher final : public Batcher {
 public:
  ThreadedBatcher(const BatchRunner::Context& context, const BatcherOptions& options)
      : context_(context),
        on_room_(options.on_room),
        scheduler_({.num_workers = std::max(1, options.num_workers),
                    .intra_op_threads = options.intra_op_threads,
                    .policy = {.max_batch_tokens = options.max_batch_tokens},
                    .queue = options.queue,
                    .target_p99 = options.target_p99}) {
    const int num_workers = std::max(1, options.num_workers);
    places_.resize(num_workers);
    openings_.resize(num_workers);
    for (int i = 0; i < num_workers; ++i) {
      teams_.push_back(std::make_unique<Team>(i));
      runners_.push_back(std::make_unique<BatchRunner>(context, i, options.max_batch_tokens));
    }
    for (int i = 0; i < num_workers; ++i) {
      workers_.emplace_back([this, i] { RunWorker(i); });
    }
  }

  ~ThreadedBatcher() override ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Schedule(std::vector<Task>& tasks) override ABSL_LOCKS_EXCLUDED(mutex_);
  void Forget(const void* caller) override ABSL_LOCKS_EXCLUDED(mutex_);
  void Drain() override ABSL_LOCKS_EXCLUDED(mutex_);

  bool crowded(TrafficClass traffic_class) const override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return scheduler_.queue().crowded(traffic_class);
  }
  QueueRecord waiting() const override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return scheduler_.Waiting(context_.clock.Now());
  }
  CostModel CostsOf(const ModelGeneration& model) const override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return model.costs;
  }

 private:
  // What a worker keeps from batch to batch so that taking one allocates nothing.
  struct Hands {
    Departures departures;
    int64_t answered = 0;      // tasks since it last took work
    CostSample sample;         // of its last batch
    Team* own_team = nullptr;  // for the batch; null: it computes alone
    int leader = kNobody;      // whom it helps in place of a batch of its own
    int64_t opening = 0;       // which of the leader's batches that is
  };
  static constexpr int kNobody = -1;

  void RunWorker(int index) ABSL_LOCKS_EXCLUDED(mutex_);
  // Reports what was done, waits for work or for a leader who wants help, and takes one. False:
  // stop.
  bool TakeWork(int index, Hands& hands) ABSL_LOCKS_EXCLUDED(mutex_);
  // Lets idle workers help LEADER, if that is worth it. Null: it is not.
  Team* OpenTeam(int leader) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How many more workers may come to help LEADER.
  void SetPlaces(int leader, int places) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes a place; there is one.
  int JoinLeader() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Help(int index, const Hands& hands) ABSL_LOCKS_EXCLUDED(mutex_);
  void AnswerDropped(Departures& departures) const;

  bool IsNeeded() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return scheduler_.queue().size() > 0 || all_places_ > 0 || stopping_;
  }
  bool AllAnswered() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return unanswered_ == 0; }
  void PublishQueue(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    context_.metrics.SetQueue(scheduler_.Waiting(now));
    called_away_.store(scheduler_.queue().size() > 0 || stopping_, std::memory_order_relaxed);
  }

  const BatchRunner::Context context_;
  const std::function<void()> on_room_;

  mutable absl::Mutex mutex_;
  Scheduler scheduler_ ABSL_GUARDED_BY(mutex_);
  int64_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;  // tasks in the queue or with a worker
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<int> places_ ABSL_GUARDED_BY(mutex_);  // for helpers, by leader
  int all_places_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<int64_t> openings_ ABSL_GUARDED_BY(mutex_);  // batches with help so far, by leader

  std::atomic<bool> called_away_{false};               // helpers leave: there is work
  std::vector<std::unique_ptr<Team>> teams_;           // by leader; constant after construction
  std::vector<std::unique_ptr<BatchRunner>> runners_;  // each used by its worker alone
  std::vector<std::thread> workers_;                   // constant after construction
};

ThreadedBatcher::~ThreadedBatcher() {
  std::vector<QueuedTask> rest;
  const absl::Duration now = context_.clock.Now();
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    scheduler_.RemoveAll(rest);
    PublishQueue(now);
  }
  AnswerAll(rest, absl::UnavailableError("the server stopped before this was computed"), now);
  for (std::thread& worker : workers_) worker.join();
}

absl::Status ThreadedBatcher::Schedule(std::vector<Task>& tasks) {
  if (tasks.empty()) return absl::OkStatus();
  if (tasks.front().model == nullptr) return absl::InternalError("a task has no model");
  const absl::Duration now = context_.clock.Now();
  absl::MutexLock lock(&mutex_);
  // A drain waits for it as long as the task that it follows is not counted as answered yet. Where
  // that one is from the cache nothing is counted, and Drain may be over: whoever drains lets calls
  // end first.
  const bool drains = draining_ && !tasks.front().takes_place;
  if (drains || stopping_) return absl::UnavailableError("the server is draining");
  // Forget may have come before there was anything to forget.
  const auto& cancelled = tasks.front().cancelled;
  if (cancelled != nullptr && *cancelled) return absl::CancelledError(kCallerLeft);
  CTX_RETURN_IF_ERROR(scheduler_.Schedule(absl::MakeSpan(tasks), now));
  unanswered_ += static_cast<int64_t>(tasks.size());
  PublishQueue(now);
  return absl::OkStatus();
}

void ThreadedBatcher::Forget(const void* caller) {
  std::vector<QueuedTask> forgotten;
  const absl::Duration now = context_.clock.Now();
  {
    absl::MutexLock lock(&mutex_);
    scheduler_.RemoveOf(caller, forgotten);
    if (forgotten.empty()) return;
    PublishQueue(now);
  }
  const auto answered = static_cast<int64_t>(forgotten.size());
  context_.metrics.RecordCancelled(answered);
  AnswerAll(forgotten, absl::CancelledError(kCallerLeft), now);
  absl::MutexLock lock(&mutex_);
  unanswered_ -= answered;  // now, so that Drain waits for the answers
}

void ThreadedBatcher::Drain() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  mutex_.Await(absl::Condition(this, &ThreadedBatcher::AllAnswered));
}

void ThreadedBatcher::RunWorker(int index) {
  pthread_setname_np(pthread_self(), absl::StrCat("ctx-worker-", index).c_str());
  FlushDenormals();
  Hands hands;
  while (TakeWork(index, hands)) {
    if (hands.leader != kNobody) {
      Help(index, hands);
      continue;
    }
    if (on_room_) on_room_();
    hands.answered = static_cast<int64_t>(hands.departures.size());
    AnswerDropped(hands.departures);
    hands.sample = runners_[index]->Run(hands.departures.taken, hands.own_team);
  }
}

void ThreadedBatcher::Help(int index, const Hands& hands) {
  const int leader = hands.leader;
  teams_[leader]->Help(index, called_away_);
  // It left for work, which perhaps another has taken by now, and the leader may have a next batch.
  absl::MutexLock lock(&mutex_);
  const bool same_batch = openings_[leader] == hands.opening;
  if (same_batch && teams_[leader]->open()) SetPlaces(leader, places_[leader] + 1);
}

Team* ThreadedBatcher::OpenTeam(int leader) {
  const int helpers = scheduler_.HelpersFor(leader);
  if (helpers == 0) return nullptr;
  teams_[leader]->Open(1 + helpers);
  ++openings_[leader];
  SetPlaces(leader, helpers);
  return teams_[leader].get();
}

void ThreadedBatcher::SetPlaces(int leader, int places) {
  all_places_ += places - places_[leader];
  places_[leader] = places;
}

int ThreadedBatcher::JoinLeader() {
  const auto free = std::find_if(places_.begin(), places_.end(), [](int n) { return n > 0; });
  const auto leader = static_cast<int>(free - places_.begin());
  SetPlaces(leader, *free - 1);
  return leader;
}

bool ThreadedBatcher::TakeWork(int index, Hands& hands) {
  absl::MutexLock lock(&mutex_);
  unanswered_ -= hands.answered;
  scheduler_.Finish(index, hands.sample, context_.clock.Now());
  hands.answered = 0;
  hands.sample = {};
  hands.own_team = nullptr;
  hands.leader = kNobody;
  SetPlaces(index, 0);
  mutex_.Await(absl::Condition(this, &ThreadedBatcher::IsNeeded));
  if (stopping_) return false;
  if (scheduler_.queue().size() == 0) {
    hands.leader = JoinLeader();
    hands.opening = openings_[hands.leader];
    return true;
  }
  const absl::Duration now = context_.clock.Now();
  scheduler_.Take(index, now, hands.departures);
  PublishQueue(now);
  hands.own_team = OpenTeam(index);
  return true;
}

void ThreadedBatcher::AnswerDropped(Departures& departures) const {
  const absl::Duration now = context_.clock.Now();
  if (!departures.expired.empty()) {
    context_.metrics.RecordExpired(static_cast<int64_t>(departures.expired.size()));
    AnswerAll(departures.expired, absl::DeadlineExceededError("the deadline passed in the queue"),
              now);
  }
  if (!departures.cancelled.empty()) {
    context_.metrics.RecordCancelled(static_cast<int64_t>(departures.cancelled.size()));
    AnswerAll(departures.cancelled, absl::CancelledError(kCallerLeft), now);
  }
}

}  // namespace

std::unique_ptr<Batcher> NewBatcher(const BatcherOptions& options, const Clock& clock,
                                    BatcherMetrics& metrics) {
  return std::make_unique<ThreadedBatcher>(
      BatchRunner::Context{.clock = clock, .metrics = metrics, .tracer = options.tracer}, options);
}

}  // namespace contexture
