#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "server/batching/model_generation.h"

namespace contexture {

// Owns the generations of models and frees each, on a thread of its own, once nobody holds it: to
// give back gigabytes takes a while that no worker and no caller should wait for. Thread safe.
class ModelReaper {
 public:
  // What is alive: what is served, and what was replaced but has work to finish.
  struct Alive {
    int64_t generations = 0;
    int64_t bytes = 0;
  };
  // ON_CHANGE is told after each change, from the thread that made it; must be thread safe.
  explicit ModelReaper(std::function<void(const Alive&)> on_change);
  // What is alive after this is freed by whoever holds it last.
  ~ModelReaper();
  ModelReaper(const ModelReaper&) = delete;
  ModelReaper& operator=(const ModelReaper&) = delete;

  // GENERATION takes BYTES of memory.
  std::shared_ptr<ModelGeneration> Own(std::unique_ptr<ModelGeneration> generation, int64_t bytes);
  Alive alive() const;

 private:
  struct State;  // shared with the generations
  const std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace contexture
