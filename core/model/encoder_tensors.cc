#include "core/model/encoder_tensors.h"

#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace contexture {
namespace {

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
  std::vector<ExpectedTensor> TakeList() { return std::move(list_); }

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

}  // namespace

std::vector<ExpectedTensor> ExpectEncoder(const EncoderConfig& config, const TensorLayout& layout,
                                          absl::string_view prefix, EncoderWeights& weights) {
  ExpectedTensors expected(config, layout, prefix);
  expected.Expect(weights);
  return expected.TakeList();
}

}  // namespace contexture
