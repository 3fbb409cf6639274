// BERT (Devlin et al. 2019) and what differs from it by names and by the row of a sequence's first
// position: RoBERTa, XLM-RoBERTa, CamemBERT, RoBERTa-PreLayerNorm, ELECTRA; and JinaBERT v2, which
// is a BERT with ALiBi and a gated feed-forward.

#include <string>

#include "core/base/status_macros.h"
#include "core/model/families.h"
#include "core/model/standard_fields.h"

namespace contexture {
namespace {

const SizeField kSizes[] = {kHiddenField,     kLayersField,    kHeadsField, kIntermediateField,
                            kVocabularyField, kPositionsField, kTypesField};
const SizeField kElectraSizes[] = {kHiddenField,       kLayersField,     kHeadsField,
                                   kIntermediateField, kVocabularyField, kPositionsField,
                                   kTypesField,        kEmbeddingField};
constexpr FixedField kJinaBertFixed[] = {
    {"position_embedding_type", R"(["alibi"])"},
    {"is_decoder", "[false]"},
    {"add_cross_attention", "[false]"},
};
constexpr FixedField kFixed[] = {
    {"position_embedding_type", R"(["absolute"])"},
    {"is_decoder", "[false]"},
    {"add_cross_attention", "[false]"},
};
// Of the pooler and of tasks that Google's first releases describe in the file.
constexpr absl::string_view kBertHarmless[] = {
    "directionality",       "pooler_fc_size",       "pooler_num_attention_heads",
    "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
};
// "auto_map" names the code that this row computes.
constexpr absl::string_view kJinaBertHarmless[] = {"auto_map", "emb_pooler", "model_max_length"};
constexpr absl::string_view kElectraHarmless[] = {"summary_activation", "summary_last_dropout",
                                                  "summary_type", "summary_use_proj"};
constexpr absl::string_view kJinaBertOthers[] = {"feed_forward_type"};
constexpr absl::string_view kRobertaOthers[] = {"pad_token_id"};

constexpr TensorLayout kBertLayout = {
    .anchor = "embeddings.word_embeddings.weight",
    .token_embedding = "embeddings.word_embeddings.weight",
    .position_embedding = "embeddings.position_embeddings.weight",
    .type_embedding = "embeddings.token_type_embeddings.weight",
    .embedding_norm = "embeddings.LayerNorm",
    .embedding_projection = "embeddings_project",
    .layer = {.prefix = "encoder.layer.#.",
              .query = "attention.self.query",
              .key = "attention.self.key",
              .value = "attention.self.value",
              .attention_output = "attention.output.dense",
              .attention_norm = "attention.output.LayerNorm",
              .up = "intermediate.dense",
              .down = "output.dense",
              .output_norm = "output.LayerNorm"},
};
constexpr TensorLayout JinaBertLayout() {
  TensorLayout layout = kBertLayout;
  layout.anchor = "encoder.layer.0.mlp.gated_layers.weight";
  layout.layer.up = "";
  layout.layer.gate_up = "mlp.gated_layers";
  layout.layer.down = "mlp.wo";
  layout.layer.output_norm = "mlp.layernorm";
  return layout;
}
constexpr TensorLayout PreLayerNormLayout() {
  TensorLayout layout = kBertLayout;
  layout.layer.attention_norm = "attention.LayerNorm";
  layout.layer.output_norm = "intermediate.LayerNorm";
  layout.final_norm = "LayerNorm";
  return layout;
}

constexpr TensorLayout kBertLayouts[] = {JinaBertLayout(), kBertLayout};
constexpr TensorLayout kRobertaLayouts[] = {kBertLayout};
constexpr TensorLayout kPreLayerNormLayouts[] = {PreLayerNormLayout()};

constexpr absl::string_view kBertPrefixes[] = {"", "bert."};
constexpr absl::string_view kRobertaPrefixes[] = {"", "roberta.", "data2vec_text."};
constexpr absl::string_view kPreLayerNormPrefixes[] = {"", "roberta_prelayernorm."};
constexpr absl::string_view kElectraPrefixes[] = {"", "electra."};
// Poolers, heads, and positions as numbers.
constexpr absl::string_view kUnused[] = {"embeddings.position_ids",
                                         "embeddings.token_type_ids",
                                         "pooler.",
                                         "cls.",
                                         "lm_head.",
                                         "classifier.",
                                         "qa_outputs.",
                                         "discriminator_predictions.",
                                         "generator_predictions.",
                                         "generator_lm_head."};

constexpr HeadLayout kBertHeads[] = {heads::kPoolerSequence, heads::kToken, heads::kBertMaskedLm};
constexpr HeadLayout kRobertaHeads[] = {heads::kRobertaSequence, heads::kToken,
                                        heads::kRobertaMaskedLm};
constexpr HeadLayout kElectraHeads[] = {{.dense = "classifier.dense",
                                         .activation = HeadActivation::kGeluErf,
                                         .output = "classifier.out_proj"},
                                        heads::kToken,
                                        {.task = HeadTask::kMaskedLm,
                                         .rows = HeadRows::kEach,
                                         .dense = "generator_predictions.dense",
                                         .activation = HeadActivation::kGeluErf,
                                         .norm = "generator_predictions.LayerNorm",
                                         .output = "generator_lm_head"}};

constexpr TensorNames kBertTensors = {kBertLayouts, kBertPrefixes, kUnused, kBertHeads};
constexpr TensorNames kRobertaTensors = {kRobertaLayouts, kRobertaPrefixes, kUnused, kRobertaHeads};
constexpr TensorNames kPreLayerNormTensors = {kPreLayerNormLayouts, kPreLayerNormPrefixes, kUnused,
                                              kRobertaHeads};
constexpr TensorNames kElectraTensors = {kRobertaLayouts, kElectraPrefixes, kUnused, kElectraHeads};

absl::Status CompleteBert(const Json& /*json*/, EncoderConfig& config) {
  SetLearnedPositions(config);
  return absl::OkStatus();
}

absl::Status CompleteJinaBert(const Json& json, EncoderConfig& config) {
  config.position.kind = PositionKind::kAlibi;
  config.max_length = config.position.num_positions;
  CTX_ASSIGN_OR_RETURN(
      const std::string feed_forward,
      ReadWord(json, kConfigFile, {"feed_forward_type", {"geglu", "reglu"}, "geglu"}));
  config.feed_forward.gated = true;
  config.feed_forward.activation =
      feed_forward == "geglu" ? Activation::kGeluErf : Activation::kRelu;
  config.biases.up = false;
  return absl::OkStatus();
}

absl::Status CompletePreLayerNorm(const Json& json, EncoderConfig& config) {
  config.norm_placement = NormPlacement::kPre;
  config.final_norm = true;
  return SetOffsetPositions(json, config);
}

absl::Status CompleteElectra(const Json& /*json*/, EncoderConfig& config) {
  SetLearnedPositions(config);
  config.embedding.projection = config.embedding.size != config.hidden_size;
  return absl::OkStatus();
}

constexpr absl::string_view kBertTypes[] = {"bert"};
constexpr absl::string_view kRobertaTypes[] = {"roberta", "xlm-roberta", "camembert",
                                               "data2vec-text"};
constexpr absl::string_view kPreLayerNormTypes[] = {"roberta-prelayernorm"};
constexpr absl::string_view kElectraTypes[] = {"electra"};

}  // namespace

const Family kBertFamily = {
    .model_types = kBertTypes,
    .sizes = kSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .fixed = kFixed,
    .harmless = kBertHarmless,
    .complete = CompleteBert,
    .tensors = &kBertTensors,
};

const Family kJinaBertFamily = {
    .model_types = kBertTypes,
    .marker = "feed_forward_type",
    .sizes = kSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .others = kJinaBertOthers,
    .fixed = kJinaBertFixed,
    .harmless = kJinaBertHarmless,
    .complete = CompleteJinaBert,
    .tensors = &kBertTensors,
};

const Family kRobertaFamily = {
    .model_types = kRobertaTypes,
    .sizes = kSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .others = kRobertaOthers,
    .fixed = kFixed,
    .complete = SetOffsetPositions,
    .tensors = &kRobertaTensors,
};

const Family kRobertaPreLayerNormFamily = {
    .model_types = kPreLayerNormTypes,
    .sizes = kSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .others = kRobertaOthers,
    .fixed = kFixed,
    .complete = CompletePreLayerNorm,
    .tensors = &kPreLayerNormTensors,
};

const Family kElectraFamily = {
    .model_types = kElectraTypes,
    .sizes = kElectraSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .fixed = kFixed,
    .harmless = kElectraHarmless,
    .complete = CompleteElectra,
    .tensors = &kElectraTensors,
};

}  // namespace contexture
