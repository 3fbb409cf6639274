#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/engine/engine.h"
#include "core/text/tokenizer.h"
#include "server/batching/cost_model.h"
#include "server/options.h"

namespace contexture {

struct LoadedModel {
  std::shared_ptr<const Engine> engine;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: the directory has no tokenizer.json
  std::vector<CostSample> samples = {};        // how long the warm-up's batches took
};

// Reads options.model, packs its weights and computes a short and a largest batch, so that the
// first request finds everything warm. Blocks for seconds. The codes of LoadModelDirectory,
// LoadEngine and LoadTokenizer; INTERNAL: the warm-up gave a result that is not finite.
absl::StatusOr<LoadedModel> LoadModel(const ServerOptions& options);

// Runs the batches that LoadModel warms up with: each shape twice, and what its second run took,
// when everything was warm.
absl::StatusOr<std::vector<CostSample>> WarmUp(const Engine& engine, const Clock& clock);

// options.model_name, or the last part of the directory's path.
std::string ModelName(const ServerOptions& options);

}  // namespace contexture
