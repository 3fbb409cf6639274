// Encoders of BERT's shape under other names, or with a part of their own: ALBERT (Lan et al.
// 2020), DistilBERT (Sanh et al. 2019), MPNet (Song et al. 2020), ESM (Rives et al. 2021, Lin et
// al. 2023).

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/model/families.h"
#include "core/model/rotary_fields.h"
#include "core/model/standard_fields.h"

namespace contexture {
namespace {

constexpr FixedField kEncoderFixed[] = {{"position_embedding_type", R"(["absolute"])"},
                                        {"is_decoder", "[false]"},
                                        {"add_cross_attention", "[false]"}};

// ALBERT: runs of layers share their weights; a linear layer follows the embedding always.

const SizeField kAlbertSizes[] = {kHiddenField,
                                  kLayersField,
                                  kHeadsField,
                                  kIntermediateField,
                                  kVocabularyField,
                                  kPositionsField,
                                  kTypesField,
                                  kEmbeddingField,
                                  {{"num_hidden_groups", kMaxLayers, 1},
                                   [](EncoderConfig& c) -> int& { return c.num_layer_weights; }}};
constexpr FixedField kAlbertFixed[] = {{"inner_group_num", "[1]"},
                                       {"position_embedding_type", R"(["absolute"])"}};
constexpr absl::string_view kAlbertHarmless[] = {"classifier_dropout_prob", "net_structure_type",
                                                 "gap_size", "num_memory_blocks",
                                                 "down_scale_factor"};
constexpr TensorLayout kAlbertLayouts[] = {{
    .anchor = "embeddings.word_embeddings.weight",
    .token_embedding = "embeddings.word_embeddings.weight",
    .position_embedding = "embeddings.position_embeddings.weight",
    .type_embedding = "embeddings.token_type_embeddings.weight",
    .embedding_norm = "embeddings.LayerNorm",
    .embedding_projection = "encoder.embedding_hidden_mapping_in",
    .layer = {.prefix = "encoder.albert_layer_groups.#.albert_layers.0.",
              .query = "attention.query",
              .key = "attention.key",
              .value = "attention.value",
              .attention_output = "attention.dense",
              .attention_norm = "attention.LayerNorm",
              .up = "ffn",
              .down = "ffn_output",
              .output_norm = "full_layer_layer_norm"},
}};
constexpr absl::string_view kAlbertPrefixes[] = {"", "albert."};
constexpr absl::string_view kAlbertUnused[] = {
    "embeddings.position_ids", "pooler.",    "predictions.", "classifier.",
    "sop_classifier.",         "qa_outputs."};
constexpr HeadLayout kAlbertHeads[] = {{.dense = "@pooler"},
                                       heads::kToken,
                                       {.task = HeadTask::kMaskedLm,
                                        .rows = HeadRows::kEach,
                                        .dense = "predictions.dense",
                                        .model_activation = true,
                                        .norm = "predictions.LayerNorm",
                                        .output = "predictions.decoder",
                                        .bias = "predictions.bias"}};
constexpr TensorNames kAlbertTensors = {kAlbertLayouts, kAlbertPrefixes, kAlbertUnused,
                                        kAlbertHeads};
constexpr absl::string_view kAlbertTypes[] = {"albert"};

absl::Status CompleteAlbert(const Json& /*json*/, EncoderConfig& config) {
  SetLearnedPositions(config);
  config.embedding.projection = true;
  if (config.num_layers % config.num_layer_weights == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(kConfigFile, " 'num_hidden_layers' is ", config.num_layers,
                   ", which is not divisible by 'num_hidden_groups' ", config.num_layer_weights));
}

// DistilBERT. Sinusoidal positions lie in the file as a table, like learned ones.

const SizeField kDistilBertSizes[] = {{{"dim", kMaxHidden}, sizes::Hidden},
                                      {{"n_layers", kMaxLayers}, sizes::Layers},
                                      {{"n_heads", kMaxHidden}, sizes::Heads},
                                      {{"hidden_dim", kMaxIntermediate}, sizes::Intermediate},
                                      kVocabularyField,
                                      kPositionsField};
constexpr absl::string_view kDistilBertHarmless[] = {"sinusoidal_pos_embds", "qa_dropout",
                                                     "seq_classif_dropout", "tie_weights_"};
constexpr TensorLayout kDistilBertLayouts[] = {{
    .anchor = "embeddings.word_embeddings.weight",
    .token_embedding = "embeddings.word_embeddings.weight",
    .position_embedding = "embeddings.position_embeddings.weight",
    .embedding_norm = "embeddings.LayerNorm",
    .layer = {.prefix = "transformer.layer.#.",
              .query = "attention.q_lin",
              .key = "attention.k_lin",
              .value = "attention.v_lin",
              .attention_output = "attention.out_lin",
              .attention_norm = "sa_layer_norm",
              .up = "ffn.lin1",
              .down = "ffn.lin2",
              .output_norm = "output_layer_norm"},
}};
constexpr absl::string_view kDistilBertPrefixes[] = {"", "distilbert."};
constexpr absl::string_view kDistilBertUnused[] = {
    "embeddings.position_ids", "vocab_transform.", "vocab_layer_norm.", "vocab_projector.",
    "pre_classifier.",         "classifier.",      "qa_outputs."};
constexpr HeadLayout kDistilBertHeads[] = {
    {.dense = "pre_classifier", .activation = HeadActivation::kRelu},
    heads::kToken,
    {.task = HeadTask::kMaskedLm,
     .rows = HeadRows::kEach,
     .dense = "vocab_transform",
     .model_activation = true,
     .norm = "vocab_layer_norm",
     .output = "vocab_projector"}};
constexpr TensorNames kDistilBertTensors = {kDistilBertLayouts, kDistilBertPrefixes,
                                            kDistilBertUnused, kDistilBertHeads};
constexpr absl::string_view kDistilBertTypes[] = {"distilbert"};

absl::Status CompleteDistilBert(const Json& /*json*/, EncoderConfig& config) {
  SetLearnedPositions(config);
  return absl::OkStatus();
}

// MPNet. Its number of buckets and its padding id are constants of its program.

constexpr int kMpnetOffset = 2;
const SizeField kMpnetSizes[] = {kHiddenField,       kLayersField,     kHeadsField,
                                 kIntermediateField, kVocabularyField, kPositionsField};
constexpr FixedField kMpnetFixed[] = {{"relative_attention_num_buckets", "[32]"}};
constexpr TensorLayout kMpnetLayouts[] = {{
    .anchor = "embeddings.word_embeddings.weight",
    .token_embedding = "embeddings.word_embeddings.weight",
    .position_embedding = "embeddings.position_embeddings.weight",
    .relative_bias = "encoder.relative_attention_bias.weight",
    .embedding_norm = "embeddings.LayerNorm",
    .layer = {.prefix = "encoder.layer.#.",
              .query = "attention.attn.q",
              .key = "attention.attn.k",
              .value = "attention.attn.v",
              .attention_output = "attention.attn.o",
              .attention_norm = "attention.LayerNorm",
              .up = "intermediate.dense",
              .down = "output.dense",
              .output_norm = "output.LayerNorm"},
}};
constexpr absl::string_view kMpnetPrefixes[] = {"", "mpnet."};
constexpr absl::string_view kMpnetUnused[] = {"embeddings.position_ids", "pooler.", "lm_head.",
                                              "classifier.", "qa_outputs."};
constexpr HeadLayout kRobertaHeads[] = {heads::kRobertaSequence, heads::kToken,
                                        heads::kRobertaMaskedLm};
constexpr TensorNames kMpnetTensors = {kMpnetLayouts, kMpnetPrefixes, kMpnetUnused, kRobertaHeads};
constexpr absl::string_view kMpnetTypes[] = {"mpnet"};

absl::Status CompleteMpnet(const Json& /*json*/, EncoderConfig& config) {
  if (config.position.num_positions <= kMpnetOffset) {
    return absl::InvalidArgumentError(absl::StrCat(kConfigFile, " 'max_position_embeddings' is ",
                                                   config.position.num_positions,
                                                   "; positions start at row ", kMpnetOffset));
  }
  config.position.num_positions -= kMpnetOffset;
  SetLearnedPositions(config);
  config.position.offset = kMpnetOffset;
  config.attention.relative_bias = {.num_buckets = 32, .max_distance = 128};
  return absl::OkStatus();
}

// ESM.

const SizeField kEsmSizes[] = {kHiddenField,       kLayersField,     kHeadsField,
                               kIntermediateField, kVocabularyField, kPositionsField};
constexpr absl::string_view kEsmOthers[] = {
    "pad_token_id",  "position_embedding_type", "rope_theta",
    "mask_token_id", "emb_layer_norm_before",   "token_dropout"};
constexpr FixedField kEsmFixed[] = {{"hidden_act", R"(["gelu"])"},
                                    {"is_folding_model", "[false]"},
                                    {"is_decoder", "[false]"},
                                    {"add_cross_attention", "[false]"}};
constexpr absl::string_view kEsmHarmless[] = {"esmfold_config", "vocab_list"};
constexpr TensorLayout kEsmLayouts[] = {{
    .anchor = "embeddings.word_embeddings.weight",
    .token_embedding = "embeddings.word_embeddings.weight",
    .position_embedding = "embeddings.position_embeddings.weight",
    .embedding_norm = "embeddings.layer_norm",
    .final_norm = "encoder.emb_layer_norm_after",
    .layer = {.prefix = "encoder.layer.#.",
              .query = "attention.self.query",
              .key = "attention.self.key",
              .value = "attention.self.value",
              .attention_output = "attention.output.dense",
              .attention_norm = "attention.LayerNorm",
              .up = "intermediate.dense",
              .down = "output.dense",
              .output_norm = "LayerNorm"},
}};
constexpr absl::string_view kEsmPrefixes[] = {"", "esm."};
constexpr absl::string_view kEsmUnused[] = {"embeddings.position_ids",
                                            "embeddings.position_embeddings.weight",
                                            "pooler.",
                                            "contact_head.",
                                            "lm_head.",
                                            "classifier.",
                                            ".inv_freq"};
constexpr TensorNames kEsmTensors = {kEsmLayouts, kEsmPrefixes, kEsmUnused, kRobertaHeads};
constexpr absl::string_view kEsmTypes[] = {"esm"};

absl::Status CompleteEsmPositions(const Json& json, EncoderConfig& config) {
  CTX_ASSIGN_OR_RETURN(
      const std::string positions,
      ReadWord(json, kConfigFile, {"position_embedding_type", {"absolute", "rotary"}, "absolute"}));
  if (positions == "absolute") return SetOffsetPositions(json, config);
  config.position.kind = PositionKind::kRotary;
  config.max_length = config.position.num_positions;
  CTX_RETURN_IF_ERROR(ReadRotary(json, {.scaled = false}, config.position.rotary));
  return CheckRotaryHeads(config);
}

absl::Status CompleteEsm(const Json& json, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(CompleteEsmPositions(json, config));
  config.norm_placement = NormPlacement::kPre;
  config.final_norm = true;
  CTX_ASSIGN_OR_RETURN(config.embedding.norm,
                       ReadBoolean(json, kConfigFile, {"emb_layer_norm_before", false}));
  CTX_ASSIGN_OR_RETURN(const bool token_dropout,
                       ReadBoolean(json, kConfigFile, {"token_dropout", false}));
  if (!token_dropout) return absl::OkStatus();
  // A part of 0.15 tokens was chosen in training and 0.8 of these were masked.
  config.embedding.scale = static_cast<float>(1.0 - 0.15 * 0.8);
  CTX_ASSIGN_OR_RETURN(
      const int mask,
      ReadInteger(json, kConfigFile, {"mask_token_id", config.vocabulary_size - 1, {}, 0}));
  config.embedding.mask_token = mask;
  return absl::OkStatus();
}

}  // namespace

const Family kAlbertFamily = {
    .model_types = kAlbertTypes,
    .sizes = kAlbertSizes,
    .activation = {"hidden_act", "gelu_new"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .fixed = kAlbertFixed,
    .harmless = kAlbertHarmless,
    .complete = CompleteAlbert,
    .tensors = &kAlbertTensors,
};

const Family kDistilBertFamily = {
    .model_types = kDistilBertTypes,
    .sizes = kDistilBertSizes,
    .activation = {"activation", "gelu"},
    .epsilon = {"", 1e-12},
    .fixed = kEncoderFixed,
    .harmless = kDistilBertHarmless,
    .complete = CompleteDistilBert,
    .tensors = &kDistilBertTensors,
};

const Family kMpnetFamily = {
    .model_types = kMpnetTypes,
    .sizes = kMpnetSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .fixed = kMpnetFixed,
    .complete = CompleteMpnet,
    .tensors = &kMpnetTensors,
};

const Family kEsmFamily = {
    .model_types = kEsmTypes,
    .sizes = kEsmSizes,
    .activation = {"", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .others = kEsmOthers,
    .fixed = kEsmFixed,
    .harmless = kEsmHarmless,
    .complete = CompleteEsm,
    .tensors = &kEsmTensors,
};

}  // namespace contexture
