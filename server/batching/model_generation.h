#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "core/engine/engine.h"
#include "server/batching/cost_model.h"

namespace contexture {

// What a model's own metrics are told. Called from all workers at once; must not block.
class ModelRecorder {
 public:
  virtual ~ModelRecorder() = default;
  virtual void RecordBatch(int64_t tokens, absl::Duration compute_time) = 0;
};

// One loaded model as the workers see it: its engine, the scratch memory that each of them computes
// it with, and what its batches cost. A model that takes another's place under its name is another
// generation. Each task holds the generation that it was planned against, so that it is computed by
// this one and no other, and so that a generation lives until its last batch has been answered.
struct ModelGeneration {
  // Allocates the workspaces of NUM_WORKERS workers, which takes memory and time. COSTS: what is
  // known before the first batch. ENGINE may be null where nothing is computed.
  ModelGeneration(std::shared_ptr<const Engine> engine, int num_workers,
                  const CostModel& costs = CostModel());

  const uint64_t id;  // that of no other generation of this process
  const std::shared_ptr<const Engine> engine;
  const std::vector<std::unique_ptr<Workspace>> workspaces;  // by worker, each for it alone
  CostModel costs;  // learnt and asked by the Scheduler, under its owner's lock
  // Told of each batch; outlives this. Null: nobody is. Set before the first task.
  ModelRecorder* recorder = nullptr;
};

}  // namespace contexture
