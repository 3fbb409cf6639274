#include "server/batching/batcher.h"

#include <pthread.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/base/denormals.h"
#include "server/batching/batch_policy.h"
#include "server/batching/batch_runner.h"
#include "server/batching/batcher_metrics.h"
#include "server/batching/task_queue.h"

namespace contexture {
namespace {

// Answers TASKS, which were not computed, with STATUS and leaves none.
void AnswerAll(std::vector<QueuedTask>& tasks, const absl::Status& status, absl::Duration now) {
  for (QueuedTask& queued : tasks) {
    std::move(queued.task.done)(status, {.queue_time = now - queued.enqueued});
  }
  tasks.clear();
}

class ThreadedBatcher final : public Batcher {
 public:
  ThreadedBatcher(const BatchRunner::Context& context, const BatcherOptions& options)
      : context_(context),
        policy_{.max_batch_tokens = options.max_batch_tokens},
        queue_(options.max_queue_tokens) {
    const int num_workers = std::max(1, options.num_workers);
    for (int i = 0; i < num_workers; ++i) {
      runners_.push_back(std::make_unique<BatchRunner>(context, options.max_batch_tokens));
    }
    for (int i = 0; i < num_workers; ++i) {
      workers_.emplace_back([this, i] { RunWorker(i); });
    }
  }

  ~ThreadedBatcher() override ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Schedule(std::vector<Task>& tasks) override ABSL_LOCKS_EXCLUDED(mutex_);
  void Drain() override ABSL_LOCKS_EXCLUDED(mutex_);

  int64_t queued_tokens() const override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return queue_.tokens();
  }
  int64_t queued_tasks() const override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return static_cast<int64_t>(queue_.size());
  }

 private:
  // What a worker keeps from batch to batch so that taking one allocates nothing.
  struct Hands {
    std::vector<Verdict> verdicts;
    Departures departures;
  };

  void RunWorker(int index) ABSL_LOCKS_EXCLUDED(mutex_);
  // Reports that ANSWERED tasks have been answered, waits for work and takes some. False: stop.
  bool TakeWork(int64_t answered, Hands& hands) ABSL_LOCKS_EXCLUDED(mutex_);
  void AnswerDropped(Departures& departures) const;

  bool HasWorkOrStops() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return queue_.size() > 0 || stopping_;
  }
  bool AllAnswered() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return unanswered_ == 0; }
  void PublishQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    context_.metrics.SetQueue(static_cast<int64_t>(queue_.size()), queue_.tokens());
  }

  const BatchRunner::Context context_;
  const BatchPolicyOptions policy_;

  mutable absl::Mutex mutex_;
  TaskQueue queue_ ABSL_GUARDED_BY(mutex_);
  int64_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;  // tasks in the queue or with a worker
  int idle_workers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::vector<std::unique_ptr<BatchRunner>> runners_;  // each used by its worker alone
  std::vector<std::thread> workers_;                   // constant after construction
};

ThreadedBatcher::~ThreadedBatcher() {
  Departures rest;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    queue_.Remove(std::vector<Verdict>(queue_.size(), Verdict::kTake), rest);
    PublishQueue();
  }
  AnswerAll(rest.taken, absl::UnavailableError("the server stopped before this was computed"),
            context_.clock.Now());
  for (std::thread& worker : workers_) worker.join();
}

absl::Status ThreadedBatcher::Schedule(std::vector<Task>& tasks) {
  if (tasks.empty()) return absl::OkStatus();
  const absl::Duration now = context_.clock.Now();
  absl::MutexLock lock(&mutex_);
  if (draining_ || stopping_) return absl::UnavailableError("the server is draining");
  absl::Status pushed = queue_.Push(absl::MakeSpan(tasks), now);
  if (!pushed.ok()) return pushed;
  unanswered_ += static_cast<int64_t>(tasks.size());
  PublishQueue();
  return absl::OkStatus();
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
  int64_t answered = 0;
  while (TakeWork(answered, hands)) {
    answered = static_cast<int64_t>(hands.departures.size());
    AnswerDropped(hands.departures);
    runners_[index]->Run(hands.departures.taken);
  }
}

bool ThreadedBatcher::TakeWork(int64_t answered, Hands& hands) {
  absl::MutexLock lock(&mutex_);
  unanswered_ -= answered;
  ++idle_workers_;
  mutex_.Await(absl::Condition(this, &ThreadedBatcher::HasWorkOrStops));
  const int idle_workers = idle_workers_--;
  if (stopping_) return false;
  const auto peek = [this](size_t index) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return queue_.Peek(index);  // called below, under the lock
  };
  DecideBatch({.count = queue_.size(), .tokens = queue_.tokens(), .task = peek},
              {.now = context_.clock.Now(), .idle_workers = idle_workers}, policy_, hands.verdicts);
  queue_.Remove(hands.verdicts, hands.departures);
  PublishQueue();
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
    AnswerAll(departures.cancelled, absl::CancelledError("the caller cancelled the request"), now);
  }
}

}  // namespace

std::unique_ptr<Batcher> NewBatcher(const Engine& engine, const BatcherOptions& options,
                                    const Clock& clock, BatcherMetrics& metrics) {
  return std::make_unique<ThreadedBatcher>(
      BatchRunner::Context{.engine = engine, .clock = clock, .metrics = metrics}, options);
}

}  // namespace contexture
