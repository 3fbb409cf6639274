#include "server/model_manager.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "core/base/without_exceptions.h"

namespace contexture {
namespace {

// Each takes memory and names of metrics; nobody serves so many.
constexpr size_t kMaxModels = 64;

// A load competes with the workers for the cores; below their priority it costs them a few percent
// of their time instead of a whole core's share.
constexpr int kLoaderNiceness = 5;

std::string Took(absl::Time start) {
  return absl::FormatDuration(absl::Trunc(absl::Now() - start, absl::Milliseconds(1)));
}

const char* EventOfFailure(ModelChange change) {
  switch (change) {
    case ModelChange::kLoad:
      return "model_not_loaded";
    case ModelChange::kReplace:
      return "model_not_replaced";
    case ModelChange::kUnload:
      return "model_not_unloaded";
  }
  return "?";
}

}  // namespace

// Who asked for a change is answered once, by the change's end or by Stop.
class ModelManager::Answer {
 public:
  explicit Answer(Done done) : done_(std::move(done)) {}
  void Give(absl::StatusOr<Entry> result) ABSL_LOCKS_EXCLUDED(mutex_) {
    Done done;
    {
      absl::MutexLock lock(&mutex_);
      done = std::exchange(done_, nullptr);
    }
    if (done != nullptr) std::move(done)(std::move(result));
  }

 private:
  absl::Mutex mutex_;
  Done done_ ABSL_GUARDED_BY(mutex_);
};

ModelManager::ModelManager(ModelPreparation::Context context, ModelRegistry& registry,
                           std::function<void()> on_ready)
    : logger_(context.logger),
      metrics_(context.metrics.models()),
      registry_(registry),
      on_ready_(std::move(on_ready)),
      preparation_(std::move(context)) {}

ModelManager::~ModelManager() {
  Stop();
  if (thread_.joinable()) thread_.join();
}

void ModelManager::Stop() {
  std::vector<std::shared_ptr<Answer>> answers;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    for (auto& [change, answer] : changes_) answers.push_back(std::move(answer));
    changes_.clear();
    if (running_ != nullptr) answers.push_back(running_);
  }
  for (const auto& answer : answers) {
    answer->Give(absl::UnavailableError("the server is shutting down"));
  }
}

bool ModelManager::busy() const {
  absl::MutexLock lock(&mutex_);
  return running_ != nullptr;
}

absl::StatusOr<bool> ModelManager::Start(const std::vector<ModelSource>& sources) {
  ready_ = true;
  for (const ModelSource& source : sources) {
    auto prepared = preparation_.Prepare(source, nullptr);
    metrics_.RecordChange(ModelChange::kLoad, prepared.ok() && prepared->parity.ok());
    if (!prepared.ok()) {
      if (sources.size() == 1) return prepared.status();
      return absl::Status(prepared.status().code(),
                          absl::StrCat("model '", source.name, "': ", prepared.status().message()));
    }
    if (prepared->parity.ok()) {
      Swap(*prepared, source, /*configured=*/true);
    } else {
      ready_ = false;
      ShowParity(*prepared);
      logger_.Error("not_serving",
                    {{"model", source.name}, {"reason", std::string(prepared->parity.message())}});
    }
  }
  thread_ = std::thread([this] { Work(); });
  return ready_;
}

void ModelManager::Submit(Change change, Done done) {
  auto answer = std::make_shared<Answer>(std::move(done));
  {
    absl::MutexLock lock(&mutex_);
    if (!stopped_) {
      changes_.emplace_back(std::move(change), std::move(answer));
      return;
    }
  }
  answer->Give(absl::UnavailableError("the server is shutting down"));
}

void ModelManager::Work() {
  pthread_setname_np(pthread_self(), "ctx-models");
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kLoaderNiceness);
  while (true) {
    std::pair<Change, std::shared_ptr<Answer>> next;
    {
      absl::MutexLock lock(&mutex_);
      running_ = nullptr;
      mutex_.Await(absl::Condition(this, &ModelManager::HasWork));
      if (stopped_) return;
      next = std::move(changes_.front());
      changes_.erase(changes_.begin());
      running_ = next.second;
    }
    absl::StatusOr<Entry> result = absl::InternalError("not done");
    const absl::Status done = WithoutExceptions([&] {
      result = next.first();
      return absl::OkStatus();
    });
    next.second->Give(done.ok() ? std::move(result) : done);
  }
}

std::vector<ModelCatalog::Entry> ModelManager::List() const {
  std::vector<Entry> entries;
  for (const Model& model : registry_.All()) entries.push_back(EntryNow(model));
  return entries;
}

void ModelManager::Load(const std::string& name, const std::string& directory, Done done) {
  Submit([this, source = ModelSource{name, directory}] { return LoadNow(source, false); },
         std::move(done));
}

void ModelManager::Reload(const std::string& name, const std::string& directory, Done done) {
  Submit(
      [this, name, directory]() -> absl::StatusOr<Entry> {
        CTX_ASSIGN_OR_RETURN(const Model current, registry_.Find(name));
        const Entry entry = EntryNow(current);
        return ReplaceNow(current, {current->name, directory.empty() ? entry.directory : directory},
                          entry.configured);
      },
      std::move(done));
}

void ModelManager::Unload(const std::string& name, Done done) {
  Submit([this, name] { return UnloadNow(name); }, std::move(done));
}

void ModelManager::Apply(std::vector<ModelSource> sources, AppliedDone done) {
  Submit(
      [this, sources = std::move(sources)]() -> absl::StatusOr<Entry> {
        CTX_RETURN_IF_ERROR(ApplyNow(sources));
        return Entry{};
      },
      [done = std::move(done)](const absl::StatusOr<Entry>& result) mutable {
        std::move(done)(result.status());
      });
}

void ModelManager::Failed(ModelChange change, const std::string& name, const absl::Status& status) {
  metrics_.RecordChange(change, /*succeeded=*/false);
  const auto served = registry_.Find(name);
  logger_.Error(EventOfFailure(change),
                {{"model", name},
                 {"reason", std::string(status.message())},
                 {"still_served", served.ok() ? (*served)->info.fingerprint : "nothing"}});
}

void ModelManager::ShowParity(const ModelPreparation::Prepared& prepared) {
  if (!prepared.measured) return;
  metrics_.SetParity(prepared.model->name, prepared.measured->min_cosine,
                     prepared.measured->max_error);
}

void ModelManager::Swap(const ModelPreparation::Prepared& next, const ModelSource& source,
                        bool configured) {
  {
    absl::MutexLock lock(&mutex_);
    origins_[source.name] = {source.directory, configured, absl::Now()};
  }
  registry_.Put(next.model);
  metrics_.SetServed(FactsOf(*next.model));
  ShowParity(next);
}

absl::StatusOr<ModelCatalog::Entry> ModelManager::LoadNow(const ModelSource& source,
                                                          bool configured) {
  const absl::Time start = absl::Now();
  const auto load = [&]() -> absl::StatusOr<ModelPreparation::Prepared> {
    CTX_RETURN_IF_ERROR(CheckNewModelName(source.name));
    if (registry_.Find(source.name).ok()) {
      return absl::AlreadyExistsError(
          absl::StrFormat("a model '%s' is served already: reload or unload it", source.name));
    }
    if (registry_.All().size() >= kMaxModels) {
      return absl::ResourceExhaustedError(
          absl::StrFormat("%d models are served, no more may be", kMaxModels));
    }
    CTX_ASSIGN_OR_RETURN(auto prepared, preparation_.Prepare(source, nullptr));
    CTX_RETURN_IF_ERROR(prepared.parity);
    return prepared;
  };
  const absl::StatusOr<ModelPreparation::Prepared> prepared = load();
  if (!prepared.ok()) {
    Failed(ModelChange::kLoad, source.name, prepared.status());
    return prepared.status();
  }
  const Model& model = prepared->model;
  Swap(*prepared, source, configured);
  metrics_.RecordChange(ModelChange::kLoad, /*succeeded=*/true);
  logger_.Info("model_loaded", {{"model", source.name},
                                {"fingerprint", model->info.fingerprint},
                                {"load_time", Took(start)}});
  return EntryNow(model);
}

absl::StatusOr<ModelCatalog::Entry> ModelManager::ReplaceNow(const Model& current,
                                                             const ModelSource& source,
                                                             bool configured) {
  const absl::Time start = absl::Now();
  auto prepared = preparation_.Prepare(source, current);
  const absl::Status status = prepared.ok() ? prepared->parity : prepared.status();
  if (!status.ok()) {
    Failed(ModelChange::kReplace, source.name, status);
    return status;
  }
  if (prepared->model == current) {
    {
      absl::MutexLock lock(&mutex_);
      Origin& origin = origins_[source.name];
      origin.directory = source.directory;
      origin.configured = configured;
    }
    logger_.Info("model_unchanged",
                 {{"model", source.name}, {"fingerprint", current->info.fingerprint}});
    return EntryNow(current);
  }
  Swap(*prepared, source, configured);
  metrics_.RecordChange(ModelChange::kReplace, /*succeeded=*/true);
  logger_.Info("model_replaced", {{"model", source.name},
                                  {"fingerprint", prepared->model->info.fingerprint},
                                  {"replaced", current->info.fingerprint},
                                  {"load_time", Took(start)}});
  Entry entry = EntryNow(prepared->model);
  entry.replaced_fingerprint = current->info.fingerprint;
  return entry;
}

absl::StatusOr<ModelCatalog::Entry> ModelManager::UnloadNow(const std::string& name) {
  const auto found = registry_.Find(name);
  Entry entry;
  if (found.ok()) entry = EntryNow(*found);
  const auto removed = registry_.Remove(name);
  if (!removed.ok()) {
    Failed(ModelChange::kUnload, name, removed.status());
    return removed.status();
  }
  {
    absl::MutexLock lock(&mutex_);
    origins_.erase(name);
  }
  metrics_.Remove(name);
  metrics_.RecordChange(ModelChange::kUnload, /*succeeded=*/true);
  logger_.Info("model_unloaded", {{"model", name}, {"fingerprint", (*removed)->info.fingerprint}});
  return entry;
}

absl::Status ModelManager::ApplyOne(const ModelSource& source) {
  for (const Model& model : registry_.All()) {
    if (model->name == source.name) return ReplaceNow(model, source, true).status();
  }
  return LoadNow(source, true).status();
}

absl::Status ModelManager::UnloadOthers(const std::vector<ModelSource>& sources) {
  absl::Status first;
  for (const Entry& entry : List()) {
    const std::string& name = entry.model->name;
    const bool wanted = std::any_of(sources.begin(), sources.end(),
                                    [&](const ModelSource& source) { return source.name == name; });
    if (wanted || !entry.configured) continue;
    first.Update(UnloadNow(name).status());
  }
  return first;
}

absl::Status ModelManager::ApplyNow(const std::vector<ModelSource>& sources) {
  absl::Status first;
  for (const ModelSource& source : sources) first.Update(ApplyOne(source));
  // Where the new default could not be loaded the old one stays.
  if (registry_.Find(sources.front().name).ok()) {
    CTX_RETURN_IF_ERROR(registry_.SetDefault(sources.front().name));
  }
  first.Update(UnloadOthers(sources));
  if (first.ok() && !ready_) {
    ready_ = true;
    on_ready_();
  }
  return first;
}

ModelCatalog::Entry ModelManager::EntryOf(const Model& model, const Origin& origin) const {
  const auto first = registry_.Find("");
  return {.model = model,
          .directory = origin.directory,
          .is_default = first.ok() && (*first)->name == model->name,
          .configured = origin.configured,
          .loaded = origin.loaded};
}

ModelCatalog::Entry ModelManager::EntryNow(const Model& model) const {
  Origin origin;
  {
    absl::MutexLock lock(&mutex_);
    const auto place = origins_.find(model->name);
    if (place != origins_.end()) origin = place->second;
  }
  return EntryOf(model, origin);
}

}  // namespace contexture
