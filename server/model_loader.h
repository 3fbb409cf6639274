#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/engine/engine.h"
#include "core/text/tokenizer.h"
#include "server/batching/cost_model.h"
#include "server/options.h"
#include "server/services/late_interaction.h"

namespace contexture {

// Not null but where said.
struct LoadedModel {
  std::shared_ptr<const Engine> engine;        // null: there was no need to load it
  std::shared_ptr<const Tokenizer> tokenizer;  // null: the directory has no tokenizer.json
  std::shared_ptr<const LateInteraction> late_interaction = nullptr;  // null: no such head
  std::vector<CostSample> samples = {};  // how long the warm-up's batches took
};

struct LoadRequest {
  std::string directory;
  // Not empty: a directory that would still give vectors of this fingerprint (SpaceFingerprint) is
  // read, but nothing is loaded.
  std::string unless_fingerprint = {};
};

// Reads the directory, packs the weights as OPTIONS say and computes a short and a largest batch,
// so that the first request finds everything warm. Blocks for seconds. The codes of
// LoadModelDirectory, LoadEngine and LoadTokenizer; INTERNAL: the warm-up gave a result that is not
// finite.
absl::StatusOr<LoadedModel> LoadModel(const LoadRequest& request, const ServerOptions& options);

// LoadModel, or what takes its place in tests.
using ModelLoader =
    std::function<absl::StatusOr<LoadedModel>(const LoadRequest&, const ServerOptions&)>;

// Runs the batches that LoadModel warms up with: each shape twice, and what its second run took,
// when everything was warm.
absl::StatusOr<std::vector<CostSample>> WarmUp(const Engine& engine, const Clock& clock);

}  // namespace contexture
