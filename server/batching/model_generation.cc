#include "server/batching/model_generation.h"

#include <atomic>
#include <utility>

namespace contexture {
namespace {

uint64_t NextId() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

std::vector<std::unique_ptr<Workspace>> NewWorkspaces(const Engine* engine, int num_workers) {
  std::vector<std::unique_ptr<Workspace>> workspaces;
  if (engine == nullptr) return workspaces;
  for (int i = 0; i < num_workers; ++i) workspaces.push_back(engine->NewWorkspace());
  return workspaces;
}

}  // namespace

ModelGeneration::ModelGeneration(std::shared_ptr<const Engine> engine_to_share, int num_workers,
                                 const CostModel& initial_costs)
    : id(NextId()),
      engine(std::move(engine_to_share)),
      workspaces(NewWorkspaces(engine.get(), num_workers)),
      costs(initial_costs) {}

}  // namespace contexture
