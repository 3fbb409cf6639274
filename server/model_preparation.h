#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "server/batching/batcher.h"
#include "server/log.h"
#include "server/metrics/model_metrics.h"
#include "server/metrics/registry.h"
#include "server/model_loader.h"
#include "server/model_reaper.h"
#include "server/model_source.h"
#include "server/options.h"
#include "server/parity.h"
#include "server/services/served_model.h"

namespace contexture {

// Makes models ready to serve. Not thread safe.
class ModelPreparation {
 public:
  // All outlive this; LOADER is called as often as Prepare is.
  struct Context {
    const ServerOptions& options;
    Logger& logger;
    ServerMetrics& metrics;
    const Batcher& batcher;
    int num_workers = 1;
    ModelLoader loader;
  };
  struct Prepared {
    std::shared_ptr<const ServedModel> model;
    absl::optional<Parity> measured = {};  // none: it has no contexture_parity.json
    // FAILED_PRECONDITION: it does not give the vectors of that file, and must not be served.
    absl::Status parity = {};
  };

  explicit ModelPreparation(Context context);

  // Loads and warms the model of SOURCE beside those that are served, gives it its workspaces, and
  // checks its parity file. CURRENT is what is served under the name, or null: returned as it is
  // when the directory has its very fingerprint. Blocks for seconds. RESOURCE_EXHAUSTED: it does
  // not fit into the memory beside the others; the codes of the loader and of MeasureParity.
  absl::StatusOr<Prepared> Prepare(const ModelSource& source,
                                   const std::shared_ptr<const ServedModel>& current);

 private:
  std::shared_ptr<ModelGeneration> NewGeneration(const LoadedModel& loaded,
                                                 const ServedModel* current,
                                                 const ModelSource& source);
  absl::Status CheckParityFile(const ModelSource& source, Prepared& prepared) const;
  void LogPlan(const ServedModel& model) const;

  const Context context_;
  const int64_t memory_limit_;
  ModelReaper reaper_;
};

// What ModelMetrics shows of MODEL.
ModelFacts FactsOf(const ServedModel& model);

}  // namespace contexture
