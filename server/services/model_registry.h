#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/services/served_model.h"

namespace contexture {

// The models that are served, by name. A request takes what its name means when it comes, and keeps
// it: what is put or removed later changes nothing for it. Thread safe; nothing blocks.
class ModelRegistry {
 public:
  using Model = std::shared_ptr<const ServedModel>;

  // The model of NAME; empty: the default one. NOT_FOUND: no such model, or none at all.
  absl::StatusOr<Model> Find(absl::string_view name) const;
  // The default one first, the others in the order in which their names came.
  std::vector<Model> All() const;

  // From now on MODEL is what its name means. Returns what that was before; null: nothing. The
  // first model is the default one.
  Model Put(Model model);
  // The model of NAME becomes the default one. NOT_FOUND.
  absl::Status SetDefault(absl::string_view name);
  // Returns what was removed. NOT_FOUND; FAILED_PRECONDITION: it is the default one.
  absl::StatusOr<Model> Remove(absl::string_view name);

 private:
  std::vector<Model>::iterator Place(absl::string_view name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Unknown() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::vector<Model> models_ ABSL_GUARDED_BY(mutex_);  // few; the default one first
};

}  // namespace contexture
