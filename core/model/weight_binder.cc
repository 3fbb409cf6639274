#include "core/model/weight_binder.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "core/model/config_family.h"
#include "core/model/encoder_tensors.h"
#include "core/model/expected_tensor.h"
#include "core/model/head_binder.h"
#include "core/model/json_reader.h"
#include "core/tensor/widen.h"

namespace contexture {
namespace {

// [rows, columns] of VIEW as [columns, rows] in TARGET.
void Transpose(const TensorView& view, char* target) {
  const size_t rows = view.shape[0], columns = view.shape[1], size = ByteSize(view.data_type);
  const char* source = static_cast<const char*>(view.data);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) {
      std::memcpy(target + (c * rows + r) * size, source + (r * columns + c) * size, size);
    }
  }
}

// Looks the expected tensors up and remembers all that is wrong.
class Binder {
 public:
  Binder(const TensorSource& file, EncoderWeights& weights) : file_(file), weights_(weights) {}

  void Bind(const ExpectedTensor& expected) {
    const std::string& name = file_.Contains(expected.name) || expected.old_name.empty() ||
                                      !file_.Contains(expected.old_name)
                                  ? expected.name
                                  : expected.old_name;
    used_.insert(name);
    absl::StatusOr<TensorView> view = file_.Find(name);
    if (absl::IsNotFound(view.status())) {
      Add(absl::StrCat("tensor ", Quote(name), " is missing"));
    } else if (!view.ok()) {
      AddType(std::string(view.status().message()));
    } else if (view->shape != expected.shape) {
      Add(absl::StrCat("tensor ", Quote(name), " has shape [", absl::StrJoin(view->shape, ", "),
                       "], expected [", absl::StrJoin(expected.shape, ", "), "]"));
    } else if (!IsFloat(view->data_type)) {
      AddType(absl::StrCat("tensor ", Quote(name), " has dtype ", Name(view->data_type),
                           ", expected F32, F16 or BF16"));
    } else if (expected.interleaved > 0) {
      Separate(*view, expected);
    } else {
      SetTargets(expected.transposed ? Rearranged(*view) : *view, expected.targets);
    }
  }

  void FindSuperfluous(absl::string_view prefix, absl::Span<const absl::string_view> unused) {
    for (const std::string& name : file_.names()) {
      if (used_.contains(name) || IsUnused(name, prefix, unused)) continue;
      Add(absl::StrCat("tensor ", Quote(name), " is superfluous"));
    }
  }

  absl::Status status() const {
    if (problems_.empty()) return absl::OkStatus();
    constexpr size_t kShown = 20;
    const size_t shown = std::min(problems_.size(), kShown);
    std::string message =
        absl::StrCat("the weights do not fit config.json: ",
                     absl::StrJoin(absl::MakeSpan(problems_).subspan(0, shown), "; "));
    if (problems_.size() > shown)
      absl::StrAppend(&message, "; and ", problems_.size() - shown, " more");
    return only_types_ ? absl::FailedPreconditionError(message)
                       : absl::InvalidArgumentError(message);
  }

 private:
  TensorView Rearranged(const TensorView& view) {
    weights_.rearranged.emplace_back(view.num_bytes());
    Transpose(view, weights_.rearranged.back().data());
    TensorView transposed = view;
    std::swap(transposed.shape[0], transposed.shape[1]);
    transposed.data = weights_.rearranged.back().data();
    return transposed;
  }
  // The runs of rows of each target together.
  void Separate(const TensorView& view, const ExpectedTensor& expected) {
    const size_t targets = expected.targets.size();
    const size_t run = view.num_bytes() / view.shape[0] * expected.interleaved;
    const size_t runs = view.num_bytes() / run / targets;
    weights_.rearranged.emplace_back(view.num_bytes());
    char* to = weights_.rearranged.back().data();
    TensorView separate = view;
    separate.data = to;
    const char* from = static_cast<const char*>(view.data);
    for (size_t target = 0; target < targets; ++target) {
      for (size_t i = 0; i < runs; ++i, to += run) {
        std::memcpy(to, from + (i * targets + target) * run, run);
      }
    }
    SetTargets(separate, expected.targets);
  }
  static void SetTargets(const TensorView& view, absl::Span<TensorView* const> targets) {
    TensorView part = view;
    for (TensorView* target : targets) {
      if (targets.size() > 1) part.shape[0] = target->shape[0];
      *target = part;
      part.data = static_cast<const char*>(part.data) + part.num_bytes();
    }
  }
  static bool IsUnused(absl::string_view name, absl::string_view prefix,
                       absl::Span<const absl::string_view> unused) {
    // A head lies beside the encoder, so its name may lack the prefix.
    const absl::string_view inner = absl::StripPrefix(name, prefix);
    for (absl::string_view known : unused) {
      if (absl::EndsWith(known, ".")) {
        if (absl::StartsWith(inner, known)) return true;
      } else if (absl::StartsWith(known, ".") ? absl::EndsWith(inner, known) : inner == known) {
        return true;
      }
    }
    return false;
  }
  void Add(std::string problem) {
    only_types_ = false;
    problems_.push_back(std::move(problem));
  }
  void AddType(std::string problem) { problems_.push_back(std::move(problem)); }

  const TensorSource& file_;
  EncoderWeights& weights_;
  absl::flat_hash_set<std::string> used_;
  std::vector<std::string> problems_;
  bool only_types_ = true;
};

struct FoundLayout {
  const TensorLayout* layout;
  absl::string_view prefix;
};

FoundLayout FindLayout(const TensorSource& file, const TensorNames& names) {
  for (const TensorLayout& layout : names.layouts) {
    for (absl::string_view prefix : names.prefixes) {
      if (file.Contains(absl::StrCat(prefix, layout.anchor))) return {&layout, prefix};
    }
  }
  // The messages then name what is missing.
  return {&names.layouts.back(), names.prefixes.front()};
}

const TensorNames* FindNames(absl::string_view model_type) {
  for (const Family* family : AllFamilies()) {
    for (absl::string_view type : family->model_types) {
      if (type == model_type) return family->tensors;
    }
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<EncoderWeights> BindWeights(const TensorSource& file, const EncoderConfig& config) {
  const TensorNames* names = FindNames(config.model_type);
  if (names == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("no tensor names are known for model_type ", Quote(config.model_type)));
  }
  const FoundLayout found = FindLayout(file, *names);
  EncoderWeights weights;
  const std::vector<ExpectedTensor> encoder =
      ExpectEncoder(config, *found.layout, found.prefix, weights);
  const std::vector<ExpectedTensor> heads =
      ExpectHeads({file, *names, found.prefix}, config, weights);
  Binder binder(file, weights);
  for (const ExpectedTensor& tensor : encoder) binder.Bind(tensor);
  for (const ExpectedTensor& tensor : heads) binder.Bind(tensor);
  binder.FindSuperfluous(found.prefix, names->unused);
  if (absl::Status status = binder.status(); !status.ok()) return status;
  if (config.decoder.shared_embedding) weights.decoder.token_embedding = weights.token_embedding;
  ShareDecoders(config, weights);
  return weights;
}

void KeepStoredHeads(const TensorSource& file, EncoderConfig& config) {
  const TensorNames* names = FindNames(config.model_type);
  if (names == nullptr) return;
  const TensorPlace place = {file, *names, FindLayout(file, *names).prefix};
  config.absent_heads.clear();
  for (const HeadConfig& head : config.heads) {
    if (!HoldsHead(place, head)) config.absent_heads.push_back(head.architecture);
  }
  std::erase_if(config.heads, [&](const HeadConfig& head) { return !HoldsHead(place, head); });
}

absl::StatusOr<LinearWeights> BindDense(const TensorSource& file, const DenseConfig& config) {
  EncoderWeights rearranged;
  LinearWeights weights;
  Binder binder(file, rearranged);
  binder.Bind({.name = "linear.weight",
               .shape = {config.out_features, config.in_features},
               .targets = {&weights.weight}});
  if (config.bias) {
    binder.Bind(
        {.name = "linear.bias", .shape = {config.out_features}, .targets = {&weights.bias}});
  }
  binder.FindSuperfluous("", {});
  if (absl::Status status = binder.status(); !status.ok()) return status;
  return weights;
}

}  // namespace contexture
