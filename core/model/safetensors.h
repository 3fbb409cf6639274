#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/mapped_file.h"
#include "core/model/safetensors_header.h"
#include "core/model/tensor_source.h"
#include "core/tensor/tensor_view.h"

namespace contexture {

// A memory-mapped .safetensors file. The header is checked completely before anything of it is
// used. The views point into the file and live as long as the object. Thread safe.
class Safetensors : public TensorSource {
 public:
  // NOT_FOUND: no such file. INVALID_ARGUMENT: a broken or hostile file. Both name PATH.
  static absl::StatusOr<std::unique_ptr<Safetensors>> Open(absl::string_view path);

  Safetensors(const Safetensors&) = delete;
  Safetensors& operator=(const Safetensors&) = delete;

  absl::StatusOr<TensorView> Find(absl::string_view name) const override;
  bool Contains(absl::string_view name) const override { return tensors_.contains(name); }
  const std::vector<std::string>& names() const override { return names_; }

  // The whole file, header included.
  absl::string_view contents() const { return file_.contents(); }
  void ReleasePages() const override { file_.ReleasePages(); }

 private:
  struct Entry {
    std::string stored_type;
    TensorView view;  // absent: the stored type is not usable
  };

  explicit Safetensors(MappedFile file);
  void Add(StoredTensorInfo info, absl::string_view data);

  const MappedFile file_;
  absl::flat_hash_map<std::string, Entry> tensors_;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<char[]>> aligned_copies_;  // of tensors that the file does not align
};

}  // namespace contexture
