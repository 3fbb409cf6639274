#include "core/model/weight_binder.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "core/model/json_reader.h"

namespace contexture {
namespace {

using Shape = absl::InlinedVector<int64_t, 4>;

// A tensor that the encoder needs and where its view goes: whole, or cut into as many equal
// stretches of rows as there are targets.
struct ExpectedTensor {
  std::string name;
  std::string old_name;  // another spelling of the name; empty: none
  Shape shape;
  absl::InlinedVector<TensorView*, 3> targets;
};

// The tensors of an encoder, collected by its family.
class ExpectedTensors {
 public:
  explicit ExpectedTensors(absl::string_view prefix) : prefix_(prefix) {}

  void Add(const std::string& name, Shape shape, TensorView& target) {
    AddStacked(name, std::move(shape), {&target});
  }
  void AddStacked(const std::string& name, Shape shape,
                  absl::InlinedVector<TensorView*, 3> targets) {
    list_.push_back({prefix_ + name, "", std::move(shape), std::move(targets)});
  }
  void AddLinear(const std::string& name, int64_t out, int64_t in, LinearWeights& target) {
    Add(name + ".weight", {out, in}, target.weight);
    Add(name + ".bias", {out}, target.bias);
  }
  // TensorFlow's spelling of the two, gamma and beta, is in many files too.
  void AddNorm(const std::string& name, int64_t size, NormWeights& target) {
    const std::string full = prefix_ + name;
    list_.push_back({full + ".weight", full + ".gamma", {size}, {&target.weight}});
    list_.push_back({full + ".bias", full + ".beta", {size}, {&target.bias}});
  }
  const std::vector<ExpectedTensor>& list() const { return list_; }

 private:
  const std::string prefix_;
  std::vector<ExpectedTensor> list_;
};

void ExpectBert(const EncoderConfig& config, EncoderWeights& weights, ExpectedTensors& expected) {
  const int64_t hidden = config.hidden_size;
  const int64_t intermediate = config.feed_forward.intermediate_size;
  expected.Add("embeddings.word_embeddings.weight", {config.vocabulary_size, hidden},
               weights.token_embedding);
  expected.Add("embeddings.position_embeddings.weight", {config.position.num_positions, hidden},
               weights.position_embedding);
  expected.Add("embeddings.token_type_embeddings.weight", {config.type_vocabulary_size, hidden},
               weights.type_embedding);
  expected.AddNorm("embeddings.LayerNorm", hidden, weights.embedding_norm);
  for (int i = 0; i < config.num_layers; ++i) {
    LayerWeights& layer = weights.layers[i];
    const std::string prefix = absl::StrCat("encoder.layer.", i, ".");
    expected.AddLinear(prefix + "attention.self.query", hidden, hidden, layer.query);
    expected.AddLinear(prefix + "attention.self.key", hidden, hidden, layer.key);
    expected.AddLinear(prefix + "attention.self.value", hidden, hidden, layer.value);
    expected.AddLinear(prefix + "attention.output.dense", hidden, hidden, layer.attention_output);
    expected.AddNorm(prefix + "attention.output.LayerNorm", hidden, layer.attention_norm);
    expected.AddLinear(prefix + "intermediate.dense", intermediate, hidden, layer.up);
    expected.AddLinear(prefix + "output.dense", hidden, intermediate, layer.down);
    expected.AddNorm(prefix + "output.LayerNorm", hidden, layer.output_norm);
  }
}

void ExpectTransformerLinear(const EncoderConfig& config, const std::string& name, Shape shape,
                             LinearWeights& target, ExpectedTensors& expected) {
  const int64_t out = shape[0];
  expected.Add(name + ".weight", std::move(shape), target.weight);
  if (config.biases) expected.Add(name + ".bias", {out}, target.bias);
}

void ExpectTransformerNorm(const EncoderConfig& config, const std::string& name,
                           NormWeights& target, ExpectedTensors& expected) {
  expected.Add(name + ".weight", {config.hidden_size}, target.weight);
  if (config.biases) expected.Add(name + ".bias", {config.hidden_size}, target.bias);
}

void ExpectTransformerLayer(const EncoderConfig& config, const std::string& prefix,
                            LayerWeights& layer, ExpectedTensors& expected) {
  const int64_t hidden = config.hidden_size;
  const int64_t intermediate = config.feed_forward.intermediate_size;
  // Query, key and value are stacked in one tensor.
  const std::string attention = prefix + "self_attn.";
  expected.AddStacked(attention + "in_proj_weight", {3 * hidden, hidden},
                      {&layer.query.weight, &layer.key.weight, &layer.value.weight});
  if (config.biases) {
    expected.AddStacked(attention + "in_proj_bias", {3 * hidden},
                        {&layer.query.bias, &layer.key.bias, &layer.value.bias});
  }
  ExpectTransformerLinear(config, attention + "out_proj", {hidden, hidden}, layer.attention_output,
                          expected);
  ExpectTransformerLinear(config, prefix + "linear1", {intermediate, hidden}, layer.up, expected);
  ExpectTransformerLinear(config, prefix + "linear2", {hidden, intermediate}, layer.down, expected);
  ExpectTransformerNorm(config, prefix + "norm1", layer.attention_norm, expected);
  ExpectTransformerNorm(config, prefix + "norm2", layer.output_norm, expected);
}

void ExpectTransformerEncoder(const EncoderConfig& config, EncoderWeights& weights,
                              ExpectedTensors& expected) {
  const int64_t hidden = config.hidden_size;
  const int64_t positions = config.position.num_positions;
  expected.Add("embedding.weight", {config.vocabulary_size, hidden}, weights.token_embedding);
  if (config.position.kind == PositionKind::kLearned) {
    expected.Add("positions.weight", {positions, hidden}, weights.position_embedding);
  } else if (config.position.kind == PositionKind::kSparseLearned) {
    expected.Add("positions.weight", {positions + 1, hidden}, weights.position_embedding);
  }
  for (int i = 0; i < config.num_layers; ++i) {
    ExpectTransformerLayer(config, absl::StrCat("layers.", i, "."), weights.layers[i], expected);
  }
  if (config.final_norm) ExpectTransformerNorm(config, "norm", weights.final_norm, expected);
}

// A family's tensors.
struct WeightFamily {
  absl::string_view model_type;
  absl::Span<const absl::string_view> prefixes;  // of all names, tried in this order
  absl::string_view anchor;                      // the tensor whose presence tells the prefix
  void (*expect)(const EncoderConfig&, EncoderWeights&, ExpectedTensors&);
  // Tensors that the encoder does not use, without the prefix; one that ends with '.' names a
  // group.
  absl::Span<const absl::string_view> unused;
};

constexpr absl::string_view kNoPrefix[] = {""};
constexpr absl::string_view kBertPrefixes[] = {"", "bert."};
constexpr absl::string_view kBertUnused[] = {"embeddings.position_ids", "pooler.", "cls."};

constexpr WeightFamily kFamilies[] = {
    {"bert", kBertPrefixes, "embeddings.word_embeddings.weight", ExpectBert, kBertUnused},
    {"transformer_encoder", kNoPrefix, "embedding.weight", ExpectTransformerEncoder, {}},
};

// Looks the expected tensors up and remembers all that is wrong.
class Binder {
 public:
  explicit Binder(const Safetensors& file) : file_(file) {}

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
    } else if (view->data_type != DataType::kFloat32) {
      AddType(absl::StrCat("tensor ", Quote(name), " has dtype ", Name(view->data_type),
                           ", expected F32"));
    } else {
      SetTargets(*view, expected.targets);
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
  static void SetTargets(const TensorView& view, absl::Span<TensorView* const> targets) {
    TensorView part = view;
    part.shape[0] /= static_cast<int64_t>(targets.size());
    for (TensorView* target : targets) {
      *target = part;
      part.data = static_cast<const char*>(part.data) + part.num_bytes();
    }
  }
  static bool IsUnused(absl::string_view name, absl::string_view prefix,
                       absl::Span<const absl::string_view> unused) {
    // A head lies beside the encoder, so its name may lack the prefix.
    const absl::string_view inner = absl::StripPrefix(name, prefix);
    for (absl::string_view known : unused) {
      if (absl::EndsWith(known, ".") ? absl::StartsWith(inner, known) : inner == known) return true;
    }
    return false;
  }
  void Add(std::string problem) {
    only_types_ = false;
    problems_.push_back(std::move(problem));
  }
  void AddType(std::string problem) { problems_.push_back(std::move(problem)); }

  const Safetensors& file_;
  absl::flat_hash_set<std::string> used_;
  std::vector<std::string> problems_;
  bool only_types_ = true;
};

absl::string_view DetectPrefix(const Safetensors& file, const WeightFamily& family) {
  for (absl::string_view prefix : family.prefixes) {
    if (file.Contains(absl::StrCat(prefix, family.anchor))) return prefix;
  }
  return family.prefixes.front();  // the messages then name what is missing
}

}  // namespace

absl::StatusOr<EncoderWeights> BindWeights(const Safetensors& file, const EncoderConfig& config) {
  for (const WeightFamily& family : kFamilies) {
    if (family.model_type != config.model_type) continue;
    const absl::string_view prefix = DetectPrefix(file, family);
    EncoderWeights weights;
    weights.layers.resize(config.num_layers);
    ExpectedTensors expected(prefix);
    family.expect(config, weights, expected);
    Binder binder(file);
    for (const ExpectedTensor& tensor : expected.list()) binder.Bind(tensor);
    binder.FindSuperfluous(prefix, family.unused);
    if (absl::Status status = binder.status(); !status.ok()) return status;
    return weights;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("no tensor names are known for model_type ", Quote(config.model_type)));
}

}  // namespace contexture
