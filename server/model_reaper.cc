#include "server/model_reaper.h"

#include <pthread.h>

#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace contexture {

struct ModelReaper::State {
  struct Dead {
    std::unique_ptr<ModelGeneration> generation;
    int64_t bytes;
  };

  explicit State(std::function<void(const Alive&)> told) : on_change(std::move(told)) {}

  void Change(int64_t generations, int64_t bytes) ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    alive.generations += generations;
    alive.bytes += bytes;
    if (!stopped) on_change(alive);
  }
  // Called by who held it last, whatever locks he holds.
  void Bury(Dead dead) ABSL_LOCKS_EXCLUDED(mutex) {
    absl::MutexLock lock(&mutex);
    if (!stopped) the_dead.push_back(std::move(dead));
  }  // stopped: freed here
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return stopped || !the_dead.empty(); }

  void Run() ABSL_LOCKS_EXCLUDED(mutex) {
    while (true) {
      std::vector<Dead> freed;
      {
        absl::MutexLock lock(&mutex);
        mutex.Await(absl::Condition(this, &State::HasWork));
        if (the_dead.empty()) return;
        freed.swap(the_dead);
      }
      for (Dead& dead : freed) {
        dead.generation.reset();
        Change(-1, -dead.bytes);
      }
    }
  }

  const std::function<void(const Alive&)> on_change;
  absl::Mutex mutex;
  Alive alive ABSL_GUARDED_BY(mutex);
  std::vector<Dead> the_dead ABSL_GUARDED_BY(mutex);
  bool stopped ABSL_GUARDED_BY(mutex) = false;
};

ModelReaper::ModelReaper(std::function<void(const Alive&)> on_change)
    : state_(std::make_shared<State>(std::move(on_change))), thread_([state = state_] {
        pthread_setname_np(pthread_self(), "ctx-reaper");
        state->Run();
      }) {}

ModelReaper::~ModelReaper() {
  {
    absl::MutexLock lock(&state_->mutex);
    state_->stopped = true;
  }
  thread_.join();
}

std::shared_ptr<ModelGeneration> ModelReaper::Own(std::unique_ptr<ModelGeneration> generation,
                                                  int64_t bytes) {
  state_->Change(1, bytes);
  return {generation.release(), [state = state_, bytes](ModelGeneration* last) {
            state->Bury({std::unique_ptr<ModelGeneration>(last), bytes});
          }};
}

ModelReaper::Alive ModelReaper::alive() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->alive;
}

}  // namespace contexture
