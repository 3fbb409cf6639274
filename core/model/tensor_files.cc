#include "core/model/tensor_files.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/model/json_reader.h"

namespace contexture {

absl::StatusOr<std::unique_ptr<TensorFiles>> TensorFiles::Join(
    std::vector<std::unique_ptr<Safetensors>> files, const std::vector<std::string>& names) {
  std::unique_ptr<TensorFiles> joined(new TensorFiles);
  for (size_t i = 0; i < files.size(); ++i) {
    for (const std::string& tensor : files[i]->names()) {
      const auto [at, added] = joined->file_of_.emplace(tensor, i);
      if (!added) {
        return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(tensor), " is in ",
                                                       names[at->second], " and in ", names[i]));
      }
      joined->names_.push_back(tensor);
    }
  }
  std::sort(joined->names_.begin(), joined->names_.end());
  joined->files_ = std::move(files);
  return joined;
}

absl::StatusOr<TensorView> TensorFiles::Find(absl::string_view name) const {
  const auto found = file_of_.find(name);
  if (found != file_of_.end()) return files_[found->second]->Find(name);
  return absl::NotFoundError(absl::StrCat("no tensor ", Quote(name)));
}

void TensorFiles::ReleasePages() const {
  for (const auto& file : files_) file->ReleasePages();
}

absl::StatusOr<std::vector<std::string>> ReadTensorIndex(absl::string_view json_text) {
  constexpr absl::string_view what = "model.safetensors.index.json";
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, what));
  const auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object() || map->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " lacks 'weight_map', an object of tensors and their files"));
  }
  std::set<std::string> files;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(what, ": the file of ", Quote(tensor), " is ",
                                                     Show(file), ", not a string"));
    }
    const std::string name = file.get<std::string>();
    if (absl::StrContains(name, '/') || !absl::EndsWith(name, ".safetensors") ||
        name.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(what, ": the file of ", Quote(tensor), " is ",
                                                     Quote(name),
                                                     ", which is no .safetensors file beside it"));
    }
    files.insert(name);
  }
  return std::vector<std::string>(files.begin(), files.end());
}

}  // namespace contexture
