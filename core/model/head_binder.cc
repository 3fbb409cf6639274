#include "core/model/head_binder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace contexture {
namespace {

const HeadLayout& LayoutOf(const TensorNames& names, const HeadConfig& head) {
  if (head.task == HeadTask::kLateInteraction) return heads::kColbert;
  return *std::find_if(names.heads.begin(), names.heads.end(),
                       [&](const HeadLayout& layout) { return layout.task == head.task; });
}

// The tensors of one head.
class HeadTensors {
 public:
  HeadTensors(const TensorPlace& place, std::vector<ExpectedTensor>& list)
      : place_(place), list_(list) {}

  void Expect(const HeadLayout& layout, const EncoderConfig& config, const HeadConfig& head,
              HeadWeights& weights) {
    const int64_t features = head.features(config.hidden_size);
    if (head.dense_size > 0) {
      Add(layout.dense, "weight", {features, config.hidden_size}, weights.dense.weight);
      if (head.dense_bias) Add(layout.dense, "bias", {features}, weights.dense.bias);
    }
    if (head.norm) {
      Add(layout.norm, "weight", {features}, weights.norm.weight, "gamma");
      if (head.norm_bias) Add(layout.norm, "bias", {features}, weights.norm.bias, "beta");
    }
    const bool shared = head.tied && !place_.file.Contains(absl::StrCat(layout.output, ".weight"));
    if (!shared) Add(layout.output, "weight", {head.num_outputs, features}, weights.output.weight);
    if (!head.output_bias) return;
    // Where both are there, transformers computes with the decoder's.
    const std::string bias = absl::StrCat(layout.output, ".bias");
    const bool other = !layout.bias.empty() && !place_.file.Contains(bias);
    list_.push_back({.name = other ? std::string(layout.bias) : bias,
                     .shape = {head.num_outputs},
                     .targets = {&weights.output.bias}});
  }

 private:
  void Add(absl::string_view name, absl::string_view part, Shape shape, TensorView& target,
           absl::string_view old_part = "") {
    const std::string full = absl::StrReplaceAll(name, {{"@", place_.prefix}});
    list_.push_back({.name = PartName(full, part),
                     .old_name = old_part.empty() ? "" : PartName(full, old_part),
                     .shape = std::move(shape),
                     .targets = {&target}});
  }

  const TensorPlace& place_;
  std::vector<ExpectedTensor>& list_;
};

}  // namespace

bool HoldsHead(const TensorPlace& place, const HeadConfig& head) {
  const HeadLayout& layout = LayoutOf(place.names, head);
  for (absl::string_view name : {layout.dense, layout.norm, layout.output}) {
    if (name.empty() || absl::StartsWith(name, "@")) continue;
    for (absl::string_view part : {"weight", "bias", "gamma", "beta"}) {
      if (place.file.Contains(PartName(name, part))) return true;
    }
  }
  return !layout.bias.empty() && place.file.Contains(layout.bias);
}

std::vector<ExpectedTensor> ExpectHeads(const TensorPlace& place, const EncoderConfig& config,
                                        EncoderWeights& weights) {
  std::vector<ExpectedTensor> list;
  HeadTensors tensors(place, list);
  weights.heads.resize(config.heads.size());
  for (size_t i = 0; i < config.heads.size(); ++i) {
    const HeadConfig& head = config.heads[i];
    tensors.Expect(LayoutOf(place.names, head), config, head, weights.heads[i]);
  }
  return list;
}

void ShareDecoders(const EncoderConfig& config, EncoderWeights& weights) {
  for (size_t i = 0; i < config.heads.size(); ++i) {
    LinearWeights& output = weights.heads[i].output;
    if (config.heads[i].tied && !output.weight.present()) output.weight = weights.token_embedding;
  }
}

}  // namespace contexture
