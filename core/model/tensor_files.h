#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/safetensors.h"
#include "core/model/tensor_source.h"

namespace contexture {

// The tensors of several .safetensors files, as Hugging Face transformers splits a large model.
class TensorFiles : public TensorSource {
 public:
  // NAMES are the files' for messages. INVALID_ARGUMENT: two files hold a tensor of the same name.
  static absl::StatusOr<std::unique_ptr<TensorFiles>> Join(
      std::vector<std::unique_ptr<Safetensors>> files, const std::vector<std::string>& names);

  absl::StatusOr<TensorView> Find(absl::string_view name) const override;
  bool Contains(absl::string_view name) const override { return file_of_.contains(name); }
  const std::vector<std::string>& names() const override { return names_; }
  void ReleasePages() const override;

 private:
  TensorFiles() = default;

  std::vector<std::unique_ptr<Safetensors>> files_;
  absl::flat_hash_map<std::string, size_t> file_of_;
  std::vector<std::string> names_;
};

// The files that the text of a model.safetensors.index.json names, sorted, each once.
// INVALID_ARGUMENT: broken JSON, no "weight_map" of names, or a name that leads out of the
// directory.
absl::StatusOr<std::vector<std::string>> ReadTensorIndex(absl::string_view json_text);

}  // namespace contexture
