#include "server/services/model_registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/services/status_mapping.h"

namespace contexture {

std::vector<ModelRegistry::Model>::iterator ModelRegistry::Place(absl::string_view name) {
  return std::find_if(models_.begin(), models_.end(),
                      [&](const Model& model) { return model->name == name; });
}

absl::Status ModelRegistry::Unknown() const {
  // The name asked for is the caller's data and is not repeated.
  const std::string served = absl::StrJoin(models_, ", ", [](std::string* out, const Model& model) {
    absl::StrAppend(out, "'", model->name, "'");
  });
  return MakeError(ErrorReason::kModelNotFound,
                   absl::StrFormat("no model has this name; served: %s", served),
                   {"model", {{"served", served}}});
}

absl::StatusOr<ModelRegistry::Model> ModelRegistry::Find(absl::string_view name) const {
  absl::MutexLock lock(&mutex_);
  for (const Model& model : models_) {
    if (name.empty() || model->name == name) return model;
  }
  return Unknown();
}

std::vector<ModelRegistry::Model> ModelRegistry::All() const {
  absl::MutexLock lock(&mutex_);
  return models_;
}

ModelRegistry::Model ModelRegistry::Put(Model model) {
  absl::MutexLock lock(&mutex_);
  const auto place = Place(model->name);
  if (place != models_.end()) return std::exchange(*place, std::move(model));
  models_.push_back(std::move(model));
  return nullptr;
}

absl::Status ModelRegistry::SetDefault(absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  const auto place = Place(name);
  if (place == models_.end()) return Unknown();
  std::rotate(models_.begin(), place, place + 1);
  return absl::OkStatus();
}

absl::StatusOr<ModelRegistry::Model> ModelRegistry::Remove(absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  const auto place = Place(name);
  if (place == models_.end()) return Unknown();
  if (place == models_.begin()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "'%s' is the default model, which requests without a name get", (*place)->name));
  }
  Model removed = std::move(*place);
  models_.erase(place);
  return removed;
}

}  // namespace contexture
