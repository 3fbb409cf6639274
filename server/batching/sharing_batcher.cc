#include "server/batching/sharing_batcher.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "core/base/without_exceptions.h"
#include "server/batching/result_cache.h"

namespace contexture {
namespace {

// A task that is computed and those that wait for its results.
struct Flight {
  std::string key;
  absl::AnyInvocable<void(absl::Status, const TaskReport&) &&> done;  // of the task itself
  std::vector<OutputSlot> outputs;
  int length = 0;
  absl::Duration deadline;
  TrafficClass traffic_class;
  uint16_t tenant = 0;
  std::vector<Task> joined;
};

// Whether a failure is the task's own affair, not one of what it computes.
bool IsOfTheCaller(absl::StatusCode code) {
  return code == absl::StatusCode::kCancelled || code == absl::StatusCode::kDeadlineExceeded;
}

bool HasLeft(const Task& task) { return task.cancelled != nullptr && *task.cancelled; }

// Whether TASK would wait no longer for the flight's results than for its own.
bool MayWaitFor(const Flight& flight, const Task& task) {
  return flight.tenant == task.tenant &&  // in whose queue it would wait
         flight.deadline <= task.deadline && flight.traffic_class <= task.traffic_class;
}

constexpr TaskReport kFromCache = {.cached = true};
constexpr TaskReport kJoined = {.cached = true, .joined = true};

class SharingBatcher final : public Batcher {
 public:
  SharingBatcher(std::unique_ptr<Batcher> batcher, int64_t cache_bytes, BatcherMetrics& metrics)
      : metrics_(metrics),
        caches_(cache_bytes > 0),
        cache_(cache_bytes),
        batcher_(std::move(batcher)) {}

  absl::Status Schedule(std::vector<Task>& tasks) override ABSL_LOCKS_EXCLUDED(mutex_);
  // Tasks that joined another's computation hold no place in the queue; they are answered with it.
  void Forget(const void* caller) override { batcher_->Forget(caller); }
  void Drain() override { batcher_->Drain(); }
  bool crowded(TrafficClass traffic_class) const override {
    return batcher_->crowded(traffic_class);
  }
  QueueRecord waiting() const override { return batcher_->waiting(); }
  CostModel CostsOf(const ModelGeneration& model) const override {
    return batcher_->CostsOf(model);
  }

 private:
  // A request on its way in.
  struct Sorted {
    std::vector<Task> computed;
    std::vector<std::shared_ptr<Flight>> flights;  // of `computed`; null: shares nothing
    std::vector<std::pair<Task, std::shared_ptr<Flight>>> joined;
    std::vector<std::pair<Task, CachedOutputs>> cached;
    int64_t sequences = 0;  // of `computed`; the rest is work of its own
  };

  void Sort(Task&& task, Sorted& sorted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes TASK the one that computes what others may join.
  std::shared_ptr<Flight> TakeOff(std::string key, Task& task)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Undoes Sort: nothing was scheduled.
  static std::vector<Task> Unsort(Sorted& sorted);
  void OnDone(const std::shared_ptr<Flight>& flight, absl::Status status, const TaskReport& report)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Schedules the most urgent of the joined tasks in place of the one that left; the others join it
  // as far as they may.
  void Replace(Flight& flight) ABSL_LOCKS_EXCLUDED(mutex_);

  BatcherMetrics& metrics_;
  const bool caches_;
  absl::Mutex mutex_;
  ResultCache cache_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::shared_ptr<Flight>> flights_ ABSL_GUARDED_BY(mutex_);
  const std::unique_ptr<Batcher> batcher_;  // last: it answers while it goes
};

std::shared_ptr<Flight> SharingBatcher::TakeOff(std::string key, Task& task) {
  auto flight = std::make_shared<Flight>(Flight{.key = std::move(key),
                                                .done = std::move(task.done),
                                                .outputs = task.outputs,
                                                .length = task.output_length(),
                                                .deadline = task.deadline,
                                                .traffic_class = task.traffic_class,
                                                .tenant = task.tenant,
                                                .joined = {}});
  task.done = [this, flight](absl::Status status, const TaskReport& report) {
    OnDone(flight, std::move(status), report);
  };
  flights_[flight->key] = flight;
  return flight;
}

void SharingBatcher::Sort(Task&& task, Sorted& sorted) {
  if (!task.shareable || task.work) {
    if (!task.work) ++sorted.sequences;
    sorted.computed.push_back(std::move(task));
    sorted.flights.push_back(nullptr);
    return;
  }
  std::string key = ResultKey(task);
  if (CachedOutputs outputs = cache_.Find(key)) {
    sorted.cached.emplace_back(std::move(task), std::move(outputs));
    return;
  }
  const auto place = flights_.find(key);
  std::shared_ptr<Flight> flight;
  if (place == flights_.end()) {
    flight = TakeOff(std::move(key), task);
  } else if (MayWaitFor(*place->second, task)) {
    sorted.joined.emplace_back(std::move(task), place->second);
    return;
  }
  ++sorted.sequences;
  sorted.computed.push_back(std::move(task));
  sorted.flights.push_back(std::move(flight));
}

std::vector<Task> SharingBatcher::Unsort(Sorted& sorted) {
  std::vector<Task> tasks;
  for (size_t i = 0; i < sorted.computed.size(); ++i) {
    if (sorted.flights[i] != nullptr) sorted.computed[i].done = std::move(sorted.flights[i]->done);
    tasks.push_back(std::move(sorted.computed[i]));
  }
  for (auto& [task, flight] : sorted.joined) tasks.push_back(std::move(task));
  for (auto& [task, outputs] : sorted.cached) tasks.push_back(std::move(task));
  return tasks;
}

absl::Status SharingBatcher::Schedule(std::vector<Task>& tasks) {
  Sorted sorted;
  sorted.computed.reserve(tasks.size());
  sorted.flights.reserve(tasks.size());
  {
    // Held over the batcher's own Schedule: nobody may join what is not scheduled in the end.
    absl::MutexLock lock(&mutex_);
    // Also when an exception is thrown: a flight that never ends would hold all who join it.
    auto call_off = absl::MakeCleanup([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      for (const auto& flight : sorted.flights) {
        if (flight != nullptr) flights_.erase(flight->key);
      }
    });
    for (Task& task : tasks) Sort(std::move(task), sorted);
    // What may throw comes before anything is admitted.
    for (auto& [task, flight] : sorted.joined) {
      std::vector<Task>& joined = flight->joined;
      const size_t needed = joined.size() + sorted.joined.size();
      if (needed > joined.capacity()) joined.reserve(std::max(needed, 2 * joined.capacity()));
    }
    const absl::Status scheduled = batcher_->Schedule(sorted.computed);
    if (!scheduled.ok()) {
      tasks = Unsort(sorted);
      return scheduled;
    }
    std::move(call_off).Cancel();
    for (auto& [task, flight] : sorted.joined) flight->joined.push_back(std::move(task));
  }
  tasks.clear();
  metrics_.RecordSharing(Sharing::kComputed, sorted.sequences);
  metrics_.RecordSharing(Sharing::kJoined, static_cast<int64_t>(sorted.joined.size()));
  metrics_.RecordSharing(Sharing::kCached, static_cast<int64_t>(sorted.cached.size()));
  for (auto& [task, outputs] : sorted.cached) {
    RestoreOutputs(*outputs, task.outputs, task.output_length());
    std::move(task.done)(absl::OkStatus(), kFromCache);
  }
  return absl::OkStatus();
}

void SharingBatcher::OnDone(const std::shared_ptr<Flight>& flight, absl::Status status,
                            const TaskReport& report) {
  CachedOutputs outputs;
  std::vector<Task> joined;
  {
    absl::MutexLock lock(&mutex_);
    const bool leaves_others = IsOfTheCaller(status.code()) && !flight->joined.empty();
    if (!leaves_others) {
      flights_.erase(flight->key);
      joined.swap(flight->joined);
    }
  }
  // The slots of the one that was computed are valid until its `done`. Where memory runs out, those
  // who joined fail, and it does not.
  const absl::Status copied = WithoutExceptions([&] {
    if (!status.ok() || (!caches_ && joined.empty())) return absl::OkStatus();
    outputs = CopyOutputs(flight->outputs, flight->length);
    if (!caches_) return absl::OkStatus();
    absl::MutexLock lock(&mutex_);
    cache_.Insert(flight->key, outputs);
    metrics_.SetCacheBytes(cache_.bytes());
    return absl::OkStatus();
  });
  if (IsOfTheCaller(status.code())) Replace(*flight);
  std::move(flight->done)(status, report);
  for (Task& task : joined) {
    if (outputs != nullptr) RestoreOutputs(*outputs, task.outputs, flight->length);
    const absl::Status& result = status.ok() && outputs == nullptr ? copied : status;
    std::move(task.done)(
        HasLeft(task) ? absl::CancelledError("the caller cancelled the request") : result, kJoined);
  }
}

void SharingBatcher::Replace(Flight& flight) {
  std::vector<std::pair<Task, absl::Status>> refused;
  {
    absl::MutexLock lock(&mutex_);
    std::vector<Task> joined = std::move(flight.joined);
    flight.joined.clear();
    if (joined.empty()) return;
    flights_.erase(flight.key);
    // The most urgent first: the others wait for its place.
    std::stable_sort(joined.begin(), joined.end(), [](const Task& a, const Task& b) {
      return std::tie(a.traffic_class, a.deadline) < std::tie(b.traffic_class, b.deadline);
    });
    std::shared_ptr<Flight> next;
    for (Task& task : joined) {
      if (next != nullptr && MayWaitFor(*next, task)) {
        next->joined.push_back(std::move(task));
        continue;
      }
      // Of a lower class and an earlier deadline than the one that is computed: not to be late it
      // is computed too.
      const bool alone = next != nullptr;
      std::vector<Task> tasks;
      tasks.push_back(std::move(task));
      tasks.front().takes_place = !alone;
      if (!alone) next = TakeOff(flight.key, tasks.front());
      const absl::Status scheduled = batcher_->Schedule(tasks);
      if (scheduled.ok()) continue;
      if (!alone) {
        flights_.erase(flight.key);
        tasks.front().done = std::move(next->done);
        next = nullptr;
      }
      refused.emplace_back(std::move(tasks.front()), scheduled);
    }
  }
  for (auto& [task, why] : refused) std::move(task.done)(why, kJoined);
}

}  // namespace

std::unique_ptr<Batcher> NewSharingBatcher(std::unique_ptr<Batcher> batcher, int64_t cache_bytes,
                                           BatcherMetrics& metrics) {
  return std::make_unique<SharingBatcher>(std::move(batcher), cache_bytes, metrics);
}

}  // namespace contexture
