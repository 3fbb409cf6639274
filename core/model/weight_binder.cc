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
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "core/model/config_family.h"
#include "core/model/head_binder.h"
#include "core/model/json_reader.h"
#include "core/tensor/widen.h"

namespace contexture {
namespace {

// The tensors of an encoder, collected from its configuration and its family's names.
class ExpectedTensors {
 public:
  ExpectedTensors(const EncoderConfig& config, const TensorLayout& layout, absl::string_view prefix)
      : config_(config), layout_(layout), prefix_(prefix) {}

  void Expect(EncoderWeights& weights) {
    weights.layers.resize(config_.num_layer_weights);
    ExpectEmbedding(weights);
    for (int i = 0; i < config_.num_layer_weights; ++i) {
      ExpectLayer(layout_.layer, i, weights.layers[i]);
    }
    layer_prefix_.clear();
    if (config_.final_norm) AddNorm(layout_.final_norm, config_.hidden_size, weights.final_norm);
    if (config_.decoder.num_layers > 0) ExpectDecoder(weights);
  }
  const std::vector<ExpectedTensor>& list() const { return list_; }

 private:
  struct Part {
    LinearWeights* target;
    int64_t out;
  };
  using Parts = absl::InlinedVector<Part, 3>;

  void ExpectEmbedding(EncoderWeights& weights) {
    const int64_t size = config_.embedding.size, positions = config_.position.num_positions;
    AddTable(layout_.token_embedding, {config_.vocabulary_size, size}, weights.token_embedding);
    if (config_.position.kind == PositionKind::kLearned) {
      AddTable(layout_.position_embedding, {config_.position.offset + positions, size},
               weights.position_embedding);
    } else if (config_.position.kind == PositionKind::kSparseLearned) {
      AddTable(layout_.position_embedding, {positions + 1, size}, weights.position_embedding);
    }
    if (config_.type_vocabulary_size > 0) {
      AddTable(layout_.type_embedding, {config_.type_vocabulary_size, size},
               weights.type_embedding);
    }
    if (config_.embedding.norm) AddNorm(layout_.embedding_norm, size, weights.embedding_norm);
    if (config_.embedding.projection) {
      AddLinear(layout_.embedding_projection, size, true,
                {{&weights.embedding_projection, config_.hidden_size}});
    }
    if (const int64_t buckets = config_.attention.relative_bias.num_buckets; buckets > 0) {
      AddTable(layout_.relative_bias, {buckets, config_.attention.num_heads},
               weights.relative_bias);
    }
    ExpectDisentangled(weights);
    ExpectConvolution(weights);
  }

  void ExpectDisentangled(EncoderWeights& weights) {
    const DisentangledConfig& disentangled = config_.attention.disentangled;
    if (disentangled.num_rows == 0) return;
    AddTable(layout_.relative_embedding, {disentangled.num_rows, config_.hidden_size},
             weights.relative_embedding);
    if (!disentangled.norm) return;
    AddNorm(layout_.relative_embedding_norm, config_.hidden_size, weights.relative_embedding_norm);
  }

  void ExpectConvolution(EncoderWeights& weights) {
    const ConvolutionConfig& convolution = config_.convolution;
    if (convolution.size == 0) return;
    const int64_t hidden = config_.hidden_size;
    AddTable(PartName(layout_.convolution, "weight"),
             {hidden, hidden / convolution.groups, convolution.size}, weights.convolution.weight);
    AddTable(PartName(layout_.convolution, "bias"), {hidden}, weights.convolution.bias);
    AddNorm(layout_.convolution_norm, hidden, weights.convolution_norm);
  }

  void ExpectLayer(const LayerNames& names, int number, LayerWeights& layer) {
    const std::string text = absl::StrCat(number);
    layer_prefix_ = absl::StrReplaceAll(names.prefix, {{"#", text}});
    ExpectAttention(names, layer);
    ExpectFeedForward(names, layer);
    ExpectNorms(names, number, layer);
  }

  void ExpectAttention(const LayerNames& names, LayerWeights& layer) {
    const AttentionConfig& attention = config_.attention;
    const int64_t hidden = config_.hidden_size;
    const bool bias = config_.biases.query_key_value;
    const Part query = {&layer.query, attention.query_size()};
    const Part key = {&layer.key, attention.key_size()};
    const Part value = {&layer.value, attention.key_size()};
    if (names.query_key_value.empty()) {
      AddLinear(names.query, hidden, bias, {query});
      AddLinear(names.key, hidden, bias, {key});
      AddLinear(names.value, hidden, bias, {value});
    } else if (names.query_bias.empty()) {
      AddLinear(names.query_key_value, hidden, bias, {query, key, value});
    } else {
      AddLinear(names.query_key_value, hidden, false, {query, key, value});
      list_.back().interleaved = attention.head_size;
      AddTable(names.query_bias, {query.out}, layer.query.bias);
      AddTable(names.value_bias, {value.out}, layer.value.bias);
    }
    ExpectPositionProjections(names, layer);
    if (attention.query_key_norm) {
      AddNorm(names.query_norm, attention.head_size, layer.query_norm);
      AddNorm(names.key_norm, attention.head_size, layer.key_norm);
    }
    AddLinear(names.attention_output, attention.query_size(), config_.biases.attention_output,
              {{&layer.attention_output, hidden}});
  }

  void ExpectPositionProjections(const LayerNames& names, LayerWeights& layer) {
    const DisentangledConfig& disentangled = config_.attention.disentangled;
    if (disentangled.num_rows == 0 || disentangled.shared_projections) return;
    const int64_t hidden = config_.hidden_size, out = config_.attention.query_size();
    if (disentangled.content_to_position) {
      AddLinear(names.position_key, hidden, disentangled.position_key_bias,
                {{&layer.position_key, out}});
    }
    if (disentangled.position_to_content) {
      AddLinear(names.position_query, hidden, true, {{&layer.position_query, out}});
    }
  }

  void ExpectFeedForward(const LayerNames& names, LayerWeights& layer) {
    const int64_t hidden = config_.hidden_size;
    const int64_t inner = config_.feed_forward.intermediate_size;
    const bool bias = config_.biases.up;
    const Part gate = {&layer.gate, inner}, up = {&layer.up, inner};
    if (!config_.feed_forward.gated) {
      AddLinear(names.up, hidden, bias, {up});
    } else if (!names.gate_up.empty()) {
      AddLinear(names.gate_up, hidden, bias, {gate, up});
    } else if (!names.up_gate.empty()) {
      AddLinear(names.up_gate, hidden, bias, {up, gate});
    } else {
      AddLinear(names.gate, hidden, bias, {gate});
      AddLinear(names.up, hidden, bias, {up});
    }
    AddLinear(names.down, inner, config_.biases.down, {{&layer.down, hidden}});
  }

  void ExpectNorms(const LayerNames& names, int number, LayerWeights& layer) {
    const int64_t hidden = config_.hidden_size;
    if (number > 0 || config_.first_attention_norm) {
      AddNorm(names.attention_norm, hidden, layer.attention_norm);
    }
    AddNorm(names.output_norm, hidden, layer.output_norm);
    if (config_.norm_placement != NormPlacement::kSandwich) return;
    AddNorm(names.attention_output_norm, hidden, layer.attention_output_norm);
    AddNorm(names.feed_forward_output_norm, hidden, layer.feed_forward_output_norm);
  }

  void ExpectDecoder(EncoderWeights& weights) {
    const DecoderNames& names = layout_.decoder;
    DecoderWeights& decoder = weights.decoder;
    const int64_t hidden = config_.hidden_size;
    if (!config_.decoder.shared_embedding) {
      AddTable(names.token_embedding, {config_.decoder.vocabulary_size, config_.embedding.size},
               decoder.token_embedding);
    }
    decoder.layers.resize(config_.decoder.num_layers);
    for (int i = 0; i < config_.decoder.num_layers; ++i) {
      DecoderLayerWeights& layer = decoder.layers[i];
      ExpectLayer(names.layer, i, layer.self);
      const int64_t size = config_.attention.query_size();
      AddLinear(names.cross_query_key_value, hidden, config_.biases.query_key_value,
                {{&layer.cross_query, size}, {&layer.cross_key, size}, {&layer.cross_value, size}});
      AddLinear(names.cross_output, size, config_.biases.attention_output,
                {{&layer.cross_output, hidden}});
      AddNorm(names.cross_norm, hidden, layer.cross_norm);
    }
    layer_prefix_.clear();
    if (config_.decoder.final_norm) AddNorm(names.final_norm, hidden, decoder.final_norm);
  }

  std::string FullName(absl::string_view name) const {
    return absl::StrCat(prefix_, layer_prefix_, name);
  }
  void AddTable(absl::string_view name, Shape shape, TensorView& target) {
    list_.push_back({.name = FullName(name), .shape = std::move(shape), .targets = {&target}});
  }
  // The parts are stacked in one tensor.
  void AddLinear(absl::string_view name, int64_t in, bool bias, const Parts& parts) {
    ExpectedTensor weight = {.name = FullName(PartName(name, "weight")),
                             .transposed = layout_.transposed};
    ExpectedTensor biases = {.name = FullName(PartName(name, "bias"))};
    int64_t out = 0;
    for (const Part& part : parts) {
      out += part.out;
      // Binding cuts the tensor where these say.
      part.target->weight.shape = {part.out, in};
      part.target->bias.shape = {part.out};
      weight.targets.push_back(&part.target->weight);
      biases.targets.push_back(&part.target->bias);
    }
    weight.shape = weight.transposed ? Shape{in, out} : Shape{out, in};
    biases.shape = {out};
    list_.push_back(std::move(weight));
    if (bias) list_.push_back(std::move(biases));
  }
  // TensorFlow's spelling of the two, gamma and beta, is in many files too.
  void AddNorm(absl::string_view name, int64_t size, NormWeights& target) {
    const std::string full = FullName(name);
    list_.push_back({.name = full + ".weight",
                     .old_name = full + ".gamma",
                     .shape = {size},
                     .targets = {&target.weight}});
    if (!config_.biases.norm) return;
    list_.push_back({.name = full + ".bias",
                     .old_name = full + ".beta",
                     .shape = {size},
                     .targets = {&target.bias}});
  }

  const EncoderConfig& config_;
  const TensorLayout& layout_;
  const std::string prefix_;
  std::string layer_prefix_;
  std::vector<ExpectedTensor> list_;
};

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
  ExpectedTensors expected(config, *found.layout, found.prefix);
  expected.Expect(weights);
  const std::vector<ExpectedTensor> heads =
      ExpectHeads({file, *names, found.prefix}, config, weights);
  Binder binder(file, weights);
  for (const ExpectedTensor& tensor : expected.list()) binder.Bind(tensor);
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
