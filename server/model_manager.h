#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/model_preparation.h"
#include "server/services/model_catalog.h"
#include "server/services/model_registry.h"

namespace contexture {

// Loads, replaces and unloads models while others are served, one change after the other on a
// thread of its own. A model is swapped in once it is loaded, warm and has passed its parity file;
// requests that came before keep the old one, which is freed when the last of them is answered. A
// change that fails changes nothing. Thread safe but for Start.
class ModelManager final : public ModelCatalog {
 public:
  // ON_READY is called, from the thread of a change, when all models of the configuration are
  // served at last, if they were not after Start. REGISTRY outlives this.
  ModelManager(ModelPreparation::Context context, ModelRegistry& registry,
               std::function<void()> on_ready);
  // Waits for the change under way; see Stop.
  ~ModelManager() override;

  // Loads SOURCES on this thread; before all else. True: all are served. False: some do not give
  // the vectors of their parity files and are not. The codes of ModelPreparation::Prepare.
  absl::StatusOr<bool> Start(const std::vector<ModelSource>& sources);

  // Makes what is served that comes from the configuration SOURCES: loads those that are new,
  // replaces those whose directories have changed, and unloads the others. Models that were loaded
  // through the catalog stay, unless SOURCES has their names. Every fault is logged and counted.
  // DONE gets the first one.
  using AppliedDone = absl::AnyInvocable<void(absl::Status) &&>;
  void Apply(std::vector<ModelSource> sources, AppliedDone done);

  // See ModelCatalog.
  std::vector<Entry> List() const override ABSL_LOCKS_EXCLUDED(mutex_);
  void Load(const std::string& name, const std::string& directory, Done done) override;
  void Reload(const std::string& name, const std::string& directory, Done done) override;
  void Unload(const std::string& name, Done done) override;

  // From now on changes are refused, and those that wait or run are answered with UNAVAILABLE. The
  // one that runs goes on behind that.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether a change runs.
  bool busy() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Origin {
    std::string directory;
    bool configured = false;  // by the configuration
    absl::Time loaded;
  };
  using Model = ModelRegistry::Model;
  class Answer;
  using Change = std::function<absl::StatusOr<Entry>()>;

  void Submit(Change change, Done done) ABSL_LOCKS_EXCLUDED(mutex_);
  void Work() ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopped_ || !changes_.empty(); }

  // These run on the manager's thread.
  absl::StatusOr<Entry> LoadNow(const ModelSource& source, bool configured);
  absl::StatusOr<Entry> ReplaceNow(const Model& current, const ModelSource& source,
                                   bool configured);
  absl::StatusOr<Entry> UnloadNow(const std::string& name);
  absl::Status ApplyNow(const std::vector<ModelSource>& sources);
  absl::Status ApplyOne(const ModelSource& source);
  absl::Status UnloadOthers(const std::vector<ModelSource>& sources);
  void Swap(const ModelPreparation::Prepared& next, const ModelSource& source, bool configured);
  void ShowParity(const ModelPreparation::Prepared& prepared);
  // Logs and counts STATUS.
  void Failed(ModelChange change, const std::string& name, const absl::Status& status);

  Entry EntryOf(const Model& model, const Origin& origin) const;
  Entry EntryNow(const Model& model) const ABSL_LOCKS_EXCLUDED(mutex_);

  Logger& logger_;
  ModelMetrics& metrics_;
  ModelRegistry& registry_;
  const std::function<void()> on_ready_;
  ModelPreparation preparation_;  // of Start's thread, then of the manager's
  bool ready_ = false;            // the same

  mutable absl::Mutex mutex_;
  std::map<std::string, Origin> origins_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<Change, std::shared_ptr<Answer>>> changes_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Answer> running_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // from the end of Start
};

}  // namespace contexture
