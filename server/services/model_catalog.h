#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/services/served_model.h"

namespace contexture {

// Changes to what is served, as AdminService asks for them. Thread safe; nothing blocks.
class ModelCatalog {
 public:
  struct Entry {
    std::shared_ptr<const ServedModel> model;
    std::string directory;
    bool is_default = false;
    bool configured = false;  // by the server's configuration, not through this
    absl::Time loaded;
    // Of the model that this one took the place of, by the change that is answered; empty: of none.
    std::string replaced_fingerprint = {};
  };
  // Called once, from any thread; must not block.
  using Done = absl::AnyInvocable<void(absl::StatusOr<Entry>) &&>;

  virtual ~ModelCatalog() = default;
  // The default model first.
  virtual std::vector<Entry> List() const = 0;
  // ALREADY_EXISTS: the name is taken; INVALID_ARGUMENT: it is no name; RESOURCE_EXHAUSTED: too
  // many models, or no memory for one more; UNAVAILABLE: draining; the codes of LoadModel.
  virtual void Load(const std::string& name, const std::string& directory, Done done) = 0;
  // Puts what lies in DIRECTORY, or where the model came from when that is empty, in its place. The
  // same content: the model stays. NAME empty: the default model. NOT_FOUND; FAILED_PRECONDITION:
  // it does not pass its parity file; the codes of Load.
  virtual void Reload(const std::string& name, const std::string& directory, Done done) = 0;
  // Answers what was served. NOT_FOUND; FAILED_PRECONDITION: it is the default model.
  virtual void Unload(const std::string& name, Done done) = 0;
};

}  // namespace contexture
