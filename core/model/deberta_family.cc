// DeBERTa (He et al. 2021), and DeBERTa-v2 and v3 (He et al. 2021, 2023): attention to contents and
// to relative positions apart.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/model/families.h"
#include "core/model/head_reader.h"
#include "core/model/standard_fields.h"

namespace contexture {
namespace {

constexpr SizeField kDebertaTypesField = {{"type_vocab_size", kMaxVocabulary, 0, 0}, sizes::Types};
const SizeField kDebertaSizes[] = {
    kHiddenField,     kLayersField,    kHeadsField,        kIntermediateField,
    kVocabularyField, kPositionsField, kDebertaTypesField,
};
const SizeField kDebertaV2Sizes[] = {
    kHiddenField,       kLayersField,
    kHeadsField,        kIntermediateField,
    kVocabularyField,   kPositionsField,
    kDebertaTypesField, {{"attention_head_size", kMaxHidden, 0}, sizes::HeadSize},
};
constexpr absl::string_view kDebertaOthers[] = {"relative_attention", "max_relative_positions",
                                                "position_biased_input", "pos_att_type",
                                                "embedding_size"};
constexpr absl::string_view kDebertaV2Others[] = {"relative_attention",
                                                  "max_relative_positions",
                                                  "position_biased_input",
                                                  "pos_att_type",
                                                  "embedding_size",
                                                  "position_buckets",
                                                  "share_att_key",
                                                  "norm_rel_ebd",
                                                  "conv_kernel_size",
                                                  "conv_groups",
                                                  "conv_act"};
constexpr FixedField kDebertaFixed[] = {{"talking_head", "[false]"}};
constexpr absl::string_view kDebertaHarmless[] = {"pooler_dropout", "pooler_hidden_act",
                                                  "pooler_hidden_size", "legacy", "padding_idx"};

constexpr TensorLayout kDebertaV2Layout = {
    .anchor = "embeddings.word_embeddings.weight",
    .token_embedding = "embeddings.word_embeddings.weight",
    .position_embedding = "embeddings.position_embeddings.weight",
    .type_embedding = "embeddings.token_type_embeddings.weight",
    .relative_embedding = "encoder.rel_embeddings.weight",
    .relative_embedding_norm = "encoder.LayerNorm",
    .convolution = "encoder.conv.conv",
    .convolution_norm = "encoder.conv.LayerNorm",
    .embedding_norm = "embeddings.LayerNorm",
    .layer = {.prefix = "encoder.layer.#.",
              .query = "attention.self.query_proj",
              .key = "attention.self.key_proj",
              .value = "attention.self.value_proj",
              .position_key = "attention.self.pos_key_proj",
              .position_query = "attention.self.pos_query_proj",
              .attention_output = "attention.output.dense",
              .attention_norm = "attention.output.LayerNorm",
              .up = "intermediate.dense",
              .down = "output.dense",
              .output_norm = "output.LayerNorm"},
};
constexpr TensorLayout DebertaLayout() {
  TensorLayout layout = kDebertaV2Layout;
  layout.layer.query = layout.layer.key = layout.layer.value = "";
  layout.layer.query_key_value = "attention.self.in_proj";
  layout.layer.query_bias = "attention.self.q_bias";
  layout.layer.value_bias = "attention.self.v_bias";
  layout.layer.position_key = "attention.self.pos_proj";
  layout.layer.position_query = "attention.self.pos_q_proj";
  return layout;
}
constexpr TensorLayout kDebertaV2Layouts[] = {kDebertaV2Layout};
constexpr TensorLayout kDebertaLayouts[] = {DebertaLayout()};
constexpr absl::string_view kDebertaPrefixes[] = {"", "deberta."};
// Heads, and a table of positions that the input is not biased by.
constexpr absl::string_view kDebertaUnused[] = {"embeddings.position_ids",
                                                "embeddings.position_embeddings.weight",
                                                "pooler.",
                                                "cls.",
                                                "lm_predictions.",
                                                "mask_predictions.",
                                                "classifier.",
                                                "qa_outputs."};
// Its pooler, which lies beside the encoder.
absl::Status CompleteDebertaPooler(const Json& json, HeadConfig& head) {
  CTX_ASSIGN_OR_RETURN(head.activation, ReadHeadActivation(json, "pooler_hidden_act", "gelu"));
  return absl::OkStatus();
}
constexpr HeadLayout kDebertaHeads[] = {
    {.dense = "pooler.dense", .complete = CompleteDebertaPooler},
    heads::kToken,
    heads::kBertMaskedLm};
constexpr TensorNames kDebertaV2Tensors = {kDebertaV2Layouts, kDebertaPrefixes, kDebertaUnused,
                                           kDebertaHeads};
constexpr TensorNames kDebertaTensors = {kDebertaLayouts, kDebertaPrefixes, kDebertaUnused,
                                         kDebertaHeads};
constexpr absl::string_view kDebertaV2Types[] = {"deberta-v2"};
constexpr absl::string_view kDebertaTypes[] = {"deberta"};

// A size that is FALLBACK where the file has none, or one below 1.
absl::StatusOr<int> ReadPositiveOr(const Json& json, absl::string_view name, int fallback) {
  const auto found = json.find(std::string(name));
  const bool none = found != json.end() && found->is_number_integer() && *found < 1;
  if (none) return fallback;
  return ReadInteger(json, kConfigFile, {name, kMaxPositions, fallback});
}

// "pos_att_type": a list of words, or words between bars.
absl::Status ReadPositionAttention(const Json& json, DisentangledConfig& disentangled) {
  const Json types = json.value("pos_att_type", Json());
  std::vector<std::string> words;
  if (types.is_string()) {
    words = absl::StrSplit(types.get<std::string>(), '|');
  } else if (types.is_array()) {
    for (const Json& type : types) words.push_back(type.is_string() ? type.get<std::string>() : "");
  } else if (!types.is_null()) {
    return WrongType(kConfigFile, "pos_att_type", types, "a list of words");
  }
  for (const std::string& word : words) {
    const std::string type = absl::AsciiStrToLower(absl::StripAsciiWhitespace(word));
    bool& flag =
        type == "c2p" ? disentangled.content_to_position : disentangled.position_to_content;
    if ((type != "c2p" && type != "p2c") || flag) {
      return NotComputed(kConfigFile, "pos_att_type", types, "c2p, p2c, each at most once");
    }
    flag = true;
  }
  return absl::OkStatus();
}

// The rows between the shortest distances and the longest must grow.
absl::Status CheckDistances(const DisentangledConfig& disentangled) {
  if (disentangled.num_buckets == 0 ||
      disentangled.max_distance - 1 > disentangled.num_buckets / 2) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      kConfigFile, ": the longest relative position is ", disentangled.max_distance,
      "; less 1 it must be above half of 'position_buckets' ", disentangled.num_buckets));
}

absl::Status ReadDisentangled(const Json& json, EncoderConfig& config) {
  DisentangledConfig& disentangled = config.attention.disentangled;
  CTX_RETURN_IF_ERROR(ReadPositionAttention(json, disentangled));
  const int parts = 1 + int{disentangled.content_to_position} + disentangled.position_to_content;
  config.attention.scale = 1.0f / std::sqrt(static_cast<float>(config.attention.head_size * parts));
  CTX_ASSIGN_OR_RETURN(const bool relative,
                       ReadBoolean(json, kConfigFile, {"relative_attention", false}));
  if (!relative) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(disentangled.max_distance, ReadPositiveOr(json, "max_relative_positions",
                                                                 config.position.num_positions));
  disentangled.num_rows = 2 * disentangled.max_distance;
  return absl::OkStatus();
}

absl::Status CheckEmbeddingSize(const Json& json, const EncoderConfig& config) {
  CTX_ASSIGN_OR_RETURN(
      const int size,
      ReadInteger(json, kConfigFile, {"embedding_size", kMaxHidden, config.hidden_size}));
  if (size == config.hidden_size) return absl::OkStatus();
  return NotComputed(kConfigFile, "embedding_size", json["embedding_size"],
                     absl::StrCat("'hidden_size' ", config.hidden_size));
}

absl::Status CompleteDeberta(const Json& json, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(CheckEmbeddingSize(json, config));
  SetLearnedPositions(config);
  CTX_ASSIGN_OR_RETURN(const bool biased,
                       ReadBoolean(json, kConfigFile, {"position_biased_input", true}));
  if (!biased) config.position.kind = PositionKind::kNone;
  config.attention.disentangled.position_key_bias = false;
  return ReadDisentangled(json, config);
}

// "norm_rel_ebd": words between bars, of which one is known.
absl::Status ReadRelativeNorm(const Json& json, DisentangledConfig& disentangled) {
  CTX_ASSIGN_OR_RETURN(
      const std::string norm,
      ReadWord(json, kConfigFile, {"norm_rel_ebd", {"none", "layer_norm"}, "none"}));
  disentangled.norm = norm == "layer_norm";
  return absl::OkStatus();
}

absl::Status ReadConvolution(const Json& json, EncoderConfig& config) {
  ConvolutionConfig& convolution = config.convolution;
  CTX_ASSIGN_OR_RETURN(convolution.size,
                       ReadInteger(json, kConfigFile, {"conv_kernel_size", 1 << 10, 0, 0}));
  if (convolution.size == 0) return absl::OkStatus();
  if (convolution.size % 2 == 0) {
    return NotComputed(kConfigFile, "conv_kernel_size", json["conv_kernel_size"],
                       "odd sizes, which leave the number of tokens as it is");
  }
  CTX_ASSIGN_OR_RETURN(convolution.groups,
                       ReadInteger(json, kConfigFile, {"conv_groups", kMaxHidden, 1}));
  if (config.hidden_size % convolution.groups != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(kConfigFile, " 'hidden_size' is ", config.hidden_size,
                     ", which is not divisible by 'conv_groups' ", convolution.groups));
  }
  CTX_ASSIGN_OR_RETURN(const std::string activation,
                       ReadWord(json, kConfigFile, {"conv_act", {"tanh", "gelu", "relu"}, "tanh"}));
  if (activation == "gelu") convolution.activation = Activation::kGeluErf;
  if (activation == "relu") convolution.activation = Activation::kRelu;
  return absl::OkStatus();
}

absl::Status CompleteDebertaV2(const Json& json, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(CompleteDeberta(json, config));
  DisentangledConfig& disentangled = config.attention.disentangled;
  disentangled.position_key_bias = true;
  CTX_RETURN_IF_ERROR(ReadRelativeNorm(json, disentangled));
  CTX_ASSIGN_OR_RETURN(disentangled.shared_projections,
                       ReadBoolean(json, kConfigFile, {"share_att_key", false}));
  CTX_RETURN_IF_ERROR(ReadConvolution(json, config));
  CTX_ASSIGN_OR_RETURN(const int buckets, ReadPositiveOr(json, "position_buckets", 0));
  if (disentangled.num_rows == 0 || buckets == 0) return absl::OkStatus();
  disentangled.num_buckets = buckets;
  disentangled.num_rows = 2 * buckets;
  return CheckDistances(disentangled);
}

}  // namespace

const Family kDebertaV2Family = {
    .model_types = kDebertaV2Types,
    .sizes = kDebertaV2Sizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-7},
    .others = kDebertaV2Others,
    .harmless = kDebertaHarmless,
    .complete = CompleteDebertaV2,
    .tensors = &kDebertaV2Tensors,
};

const Family kDebertaFamily = {
    .model_types = kDebertaTypes,
    .sizes = kDebertaSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-7},
    .others = kDebertaOthers,
    .fixed = kDebertaFixed,
    .harmless = kDebertaHarmless,
    .complete = CompleteDeberta,
    .tensors = &kDebertaTensors,
};

}  // namespace contexture
