// A PyTorch nn.Embedding and nn.TransformerEncoder or nn.Transformer, under PyTorch's names;
// written by scripts/export_transformer_encoder.py, whose docstring describes the fields.

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/model/families.h"
#include "core/model/json_reader.h"

namespace contexture {
namespace {

const SizeField kModelSize = {{"d_model", kMaxHidden},
                              [](EncoderConfig& c) -> int& { return c.hidden_size; }};
const SizeField kHeads = {{"nhead", kMaxHidden},
                          [](EncoderConfig& c) -> int& { return c.attention.num_heads; }};
const SizeField kFeedForward = {
    {"dim_feedforward", kMaxIntermediate, 2048},
    [](EncoderConfig& c) -> int& { return c.feed_forward.intermediate_size; }};
const SizeField kVocabulary = {{"vocab_size", kMaxVocabulary},
                               [](EncoderConfig& c) -> int& { return c.vocabulary_size; }};
const SizeField kMaxLength = {{"max_len", kMaxPositions},
                              [](EncoderConfig& c) -> int& { return c.position.num_positions; }};
const SizeField kEncoderSizes[] = {
    {{"num_layers", kMaxLayers}, [](EncoderConfig& c) -> int& { return c.num_layers; }},
    kModelSize,
    kHeads,
    kFeedForward,
    kVocabulary,
    kMaxLength};
const SizeField kEncoderDecoderSizes[] = {
    kModelSize,
    {{"num_encoder_layers", kMaxLayers}, [](EncoderConfig& c) -> int& { return c.num_layers; }},
    {{"num_decoder_layers", kMaxLayers},
     [](EncoderConfig& c) -> int& { return c.decoder.num_layers; }},
    kHeads,
    kFeedForward,
    kVocabulary,
    {{"target_vocab_size", kMaxVocabulary},
     [](EncoderConfig& c) -> int& { return c.decoder.vocabulary_size; }},
    kMaxLength};
constexpr absl::string_view kEncoderOthers[] = {
    "positional_encoding", "sparse_table", "rope_theta", "scale_embedding",
    "norm_first",          "final_norm",   "bias"};
constexpr absl::string_view kEncoderDecoderOthers[] = {
    "positional_encoding", "sparse_table", "scale_embedding",    "norm_first",
    "final_norm",          "bias",         "decoder_final_norm", "shared_embedding"};
// Of training, and of how PyTorch lays out and runs the same computation.
constexpr absl::string_view kHarmless[] = {"dropout", "batch_first", "enable_nested_tensor"};

struct PositionName {
  absl::string_view name;
  PositionKind kind;
};
constexpr PositionName kPositionNames[] = {
    {"none", PositionKind::kNone},       {"sinusoidal", PositionKind::kSinusoidal},
    {"learned", PositionKind::kLearned}, {"sparse", PositionKind::kSparse},
    {"rotary", PositionKind::kRotary},   {"alibi", PositionKind::kAlibi},
};

absl::StatusOr<PositionKind> ReadPositionKind(const Json& json) {
  constexpr absl::string_view kName = "positional_encoding";
  const auto found = json.find(std::string(kName));
  if (found == json.end()) {
    return absl::InvalidArgumentError(absl::StrCat(kConfigFile, " lacks ", Quote(kName)));
  }
  if (!found->is_string()) return WrongType(kConfigFile, kName, *found, "a string");
  std::vector<absl::string_view> computed;
  for (const PositionName& known : kPositionNames) {
    if (found->get_ref<const std::string&>() == known.name) return known.kind;
    computed.push_back(known.name);
  }
  return NotComputed(kConfigFile, kName, *found, absl::StrJoin(computed, ", "));
}

// What a scheme asks of the sizes.
absl::Status CheckPositions(const EncoderConfig& config) {
  const int positions = config.position.num_positions;
  const int head_size = config.attention.head_size;
  switch (config.position.kind) {
    case PositionKind::kSinusoidal:
      if (config.hidden_size % 2 == 0) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat(kConfigFile, ": 'd_model' is ", config.hidden_size,
                       "; with sinusoidal positions, which pair a sine with a cosine, it must be "
                       "even"));
    case PositionKind::kRotary:
      if (head_size % 2 == 0) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat(
          kConfigFile, ": a head has ", head_size, " elements ('d_model' ", config.hidden_size,
          " / 'nhead' ", config.attention.num_heads,
          "); with rotary positions, which turn pairs of them, it must have an even number"));
    case PositionKind::kSparse:
      if (positions <= config.hidden_size) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat(kConfigFile, ": 'max_len' is ", positions,
                       "; one-hot sparse positions need a dimension each, and 'd_model' has ",
                       config.hidden_size));
    default:
      return absl::OkStatus();
  }
}

absl::Status ReadPositions(const Json& json, EncoderConfig& config) {
  PositionConfig& position = config.position;
  CTX_ASSIGN_OR_RETURN(position.kind, ReadPositionKind(json));
  CTX_ASSIGN_OR_RETURN(const bool sparse_table,
                       ReadBoolean(json, kConfigFile, {"sparse_table", false}));
  if (sparse_table && position.kind != PositionKind::kSparse) {
    return absl::InvalidArgumentError(
        absl::StrCat(kConfigFile, " 'sparse_table' is true with 'positional_encoding' ",
                     Show(json["positional_encoding"]), "; only \"sparse\" has that table"));
  }
  if (sparse_table) position.kind = PositionKind::kSparseLearned;
  CTX_ASSIGN_OR_RETURN(
      position.rotary.theta,
      ReadNumber(json, kConfigFile,
                 {.name = "rope_theta", .min = 1.0, .max = 1e12, .fallback = 10000.0}));
  config.max_length = position.num_positions;
  return CheckPositions(config);
}

absl::Status Complete(const Json& json, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(ReadPositions(json, config));
  CTX_ASSIGN_OR_RETURN(const bool norm_first,
                       ReadBoolean(json, kConfigFile, {"norm_first", false}));
  config.norm_placement = norm_first ? NormPlacement::kPre : NormPlacement::kPost;
  CTX_ASSIGN_OR_RETURN(const bool scaled, ReadBoolean(json, kConfigFile, {"scale_embedding"}));
  config.embedding.scale = scaled ? std::sqrt(static_cast<float>(config.hidden_size)) : 1.0f;
  CTX_ASSIGN_OR_RETURN(config.final_norm, ReadBoolean(json, kConfigFile, {"final_norm", false}));
  CTX_ASSIGN_OR_RETURN(const bool biases, ReadBoolean(json, kConfigFile, {"bias", true}));
  config.biases = BiasConfig::All(biases);
  config.type_vocabulary_size = 0;
  config.embedding.norm = false;
  return absl::OkStatus();
}

absl::Status CompleteDecoder(const Json& json, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(Complete(json, config));
  const PositionKind kind = config.position.kind;
  if (kind == PositionKind::kRotary || kind == PositionKind::kAlibi) {
    return NotComputed(kConfigFile, "positional_encoding", json["positional_encoding"],
                       "none, sinusoidal, learned, sparse, where there is a decoder");
  }
  DecoderConfig& decoder = config.decoder;
  CTX_ASSIGN_OR_RETURN(decoder.final_norm,
                       ReadBoolean(json, kConfigFile, {"decoder_final_norm", false}));
  CTX_ASSIGN_OR_RETURN(decoder.shared_embedding,
                       ReadBoolean(json, kConfigFile, {"shared_embedding", false}));
  if (!decoder.shared_embedding || decoder.vocabulary_size == config.vocabulary_size) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      kConfigFile, ": 'target_vocab_size' is ", decoder.vocabulary_size,
      ", with 'shared_embedding' it must be that of 'vocab_size', ", config.vocabulary_size));
}

// A layer's names under PREFIX, which ends before the layer's number.
constexpr LayerNames LayerNamesOf(absl::string_view prefix, absl::string_view output_norm) {
  return {.prefix = prefix,
          .query_key_value = "self_attn.in_proj_",
          .attention_output = "self_attn.out_proj",
          .attention_norm = "norm1",
          .up = "linear1",
          .down = "linear2",
          .output_norm = output_norm};
}

constexpr TensorLayout kEncoderLayouts[] = {{
    .anchor = "embedding.weight",
    .token_embedding = "embedding.weight",
    .position_embedding = "positions.weight",
    .final_norm = "norm",
    .layer = LayerNamesOf("layers.#.", "norm2"),
}};
constexpr TensorLayout kEncoderDecoderLayouts[] = {{
    .anchor = "embedding.weight",
    .token_embedding = "embedding.weight",
    .position_embedding = "positions.weight",
    .final_norm = "encoder.norm",
    .layer = LayerNamesOf("encoder.layers.#.", "norm2"),
    .decoder = {.token_embedding = "target_embedding.weight",
                .layer = LayerNamesOf("decoder.layers.#.", "norm3"),
                .cross_query_key_value = "multihead_attn.in_proj_",
                .cross_output = "multihead_attn.out_proj",
                .cross_norm = "norm2",
                .final_norm = "decoder.norm"},
}};
constexpr absl::string_view kNoPrefix[] = {""};
constexpr TensorNames kEncoderTensors = {kEncoderLayouts, kNoPrefix, {}};
constexpr TensorNames kEncoderDecoderTensors = {kEncoderDecoderLayouts, kNoPrefix, {}};
constexpr absl::string_view kEncoderTypes[] = {"transformer_encoder"};
constexpr absl::string_view kEncoderDecoderTypes[] = {"transformer_encoder_decoder"};

}  // namespace

const Family kTransformerEncoderFamily = {
    .model_types = kEncoderTypes,
    .sizes = kEncoderSizes,
    .activation = {"activation", "relu"},
    .epsilon = {"layer_norm_eps", 1e-5},
    .others = kEncoderOthers,
    .fixed = {},
    .harmless = kHarmless,
    .complete = Complete,
    .tensors = &kEncoderTensors,
};

const Family kTransformerEncoderDecoderFamily = {
    .model_types = kEncoderDecoderTypes,
    .sizes = kEncoderDecoderSizes,
    .activation = {"activation", "relu"},
    .epsilon = {"layer_norm_eps", 1e-5},
    .others = kEncoderDecoderOthers,
    .fixed = {},
    .harmless = kHarmless,
    .complete = CompleteDecoder,
    .tensors = &kEncoderDecoderTensors,
};

}  // namespace contexture
