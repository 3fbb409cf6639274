// Encoders of BERT's training with rotary positions: NomicBERT (Nussbaum et al. 2024), GTE (Zhang
// et al. 2024), Jina Embeddings v3 (Sturua et al. 2024) and ModernBERT (Warner et al. 2024).

#include <string>

#include "core/base/status_macros.h"
#include "core/model/families.h"
#include "core/model/head_reader.h"
#include "core/model/layer_types.h"
#include "core/model/rotary_fields.h"
#include "core/model/standard_fields.h"

namespace contexture {
namespace {

constexpr absl::string_view kRopeParameters[] = {"rope_parameters"};

void SetRotary(EncoderConfig& config) {
  config.position.kind = PositionKind::kRotary;
  config.max_length = config.position.num_positions;
}

// NomicBERT, as transformers writes it and, with GPT's field names, as its authors do.

constexpr TensorLayout kNomicLayouts[] = {{
    .anchor = "encoder.layers.0.attn.Wqkv.weight",
    .token_embedding = "embeddings.word_embeddings.weight",
    .type_embedding = "embeddings.token_type_embeddings.weight",
    .embedding_norm = "emb_ln",
    .layer = {.prefix = "encoder.layers.#.",
              .query_key_value = "attn.Wqkv",
              .attention_output = "attn.out_proj",
              .attention_norm = "norm1",
              .gate = "mlp.fc12",
              .up = "mlp.fc11",
              .down = "mlp.fc2",
              .output_norm = "norm2"},
}};
constexpr absl::string_view kNomicPrefixes[] = {"", "nomic_bert.", "bert."};
constexpr absl::string_view kHeads[] = {"pooler.", "classifier.", "lm_head.", "cls.", ".inv_freq"};
constexpr HeadLayout NomicMaskedLm() {
  HeadLayout layout = heads::kBertMaskedLm;
  layout.norm = "cls.predictions.transform.layer_norm";
  return layout;
}
constexpr HeadLayout kNomicHeads[] = {heads::kPoolerSequence, heads::kToken, NomicMaskedLm()};
constexpr TensorNames kNomicTensors = {kNomicLayouts, kNomicPrefixes, kHeads, kNomicHeads};
constexpr absl::string_view kNomicTypes[] = {"nomic_bert"};

const SizeField kNomicSizes[] = {kHiddenField,     kLayersField,    kHeadsField, kIntermediateField,
                                 kVocabularyField, kPositionsField, kTypesField, kHeadSizeField};
const SizeField kNomicGptSizes[] = {{{"n_embd", kMaxHidden}, sizes::Hidden},
                                    {{"n_layer", kMaxLayers}, sizes::Layers},
                                    {{"n_head", kMaxHidden}, sizes::Heads},
                                    {{"n_inner", kMaxIntermediate}, sizes::Intermediate},
                                    {{"n_positions", kMaxPositions}, sizes::Positions},
                                    kVocabularyField,
                                    kTypesField};
constexpr absl::string_view kNomicGptOthers[] = {"activation_function", "qkv_proj_bias",
                                                 "mlp_fc1_bias", "mlp_fc2_bias", "rotary_emb_base"};
constexpr FixedField kNomicGptFixed[] = {
    {"prenorm", "[false]"},
    {"use_rms_norm", "[false, null]"},
    {"causal", "[false]"},
    {"parallel_block", "[false]"},
    {"parallel_block_tied_norm", "[false]"},
    {"rotary_emb_fraction", "[1.0]"},
    {"rotary_emb_interleaved", "[false]"},
    {"rotary_emb_scale_base", "[null]"},
    {"rotary_scaling_factor", "[null]"},
    {"scale_attn_weights", "[true]"},
    {"scale_attn_by_inverse_layer_idx", "[false]"},
};
constexpr absl::string_view kNomicGptHarmless[] = {"auto_map",
                                                   "attn_pdrop",
                                                   "embd_pdrop",
                                                   "resid_pdrop",
                                                   "dense_seq_output",
                                                   "fused_bias_fc",
                                                   "fused_dropout_add_ln",
                                                   "max_trained_positions",
                                                   "summary_activation",
                                                   "summary_first_dropout",
                                                   "summary_proj_to_labels",
                                                   "summary_type",
                                                   "summary_use_proj",
                                                   "use_flash_attn",
                                                   "use_xentropy",
                                                   "pad_vocab_size_multiple",
                                                   "reorder_and_upcast_attn"};

absl::Status CompleteNomic(const Json& json, EncoderConfig& config) {
  SetRotary(config);
  config.feed_forward.gated = true;
  config.biases = BiasConfig::All(false);
  config.biases.norm = true;
  CTX_RETURN_IF_ERROR(ReadRotary(json, {.default_theta = 1000.0}, config.position.rotary));
  return CheckRotaryHeads(config);
}

absl::Status CompleteNomicGpt(const Json& json, EncoderConfig& config) {
  SetRotary(config);
  config.feed_forward.gated = true;
  CTX_ASSIGN_OR_RETURN(
      const std::string activation,
      ReadWord(json, kConfigFile, {"activation_function", {"swiglu", "geglu"}, "gelu"}));
  config.feed_forward.activation =
      activation == "swiglu" ? Activation::kSilu : Activation::kGeluErf;
  BiasConfig& biases = config.biases;
  CTX_ASSIGN_OR_RETURN(biases.query_key_value, ReadBoolean(json, kConfigFile, {"qkv_proj_bias"}));
  biases.attention_output = biases.query_key_value;
  CTX_ASSIGN_OR_RETURN(biases.up, ReadBoolean(json, kConfigFile, {"mlp_fc1_bias"}));
  CTX_ASSIGN_OR_RETURN(biases.down, ReadBoolean(json, kConfigFile, {"mlp_fc2_bias"}));
  CTX_RETURN_IF_ERROR(
      ReadRotary(json, {.theta = "rotary_emb_base", .scaled = false}, config.position.rotary));
  return CheckRotaryHeads(config);
}

// GTE, as transformers writes it and, as model_type "new", as its authors do.

constexpr TensorLayout kGteLayouts[] = {{
    .anchor = "embeddings.word_embeddings.weight",
    .token_embedding = "embeddings.word_embeddings.weight",
    .type_embedding = "embeddings.token_type_embeddings.weight",
    .embedding_norm = "embeddings.LayerNorm",
    .layer = {.prefix = "encoder.layer.#.",
              .query_key_value = "attention.qkv_proj",
              .attention_output = "attention.o_proj",
              .attention_norm = "attn_ln",
              .up_gate = "mlp.up_gate_proj",
              .down = "mlp.down_proj",
              .output_norm = "mlp_ln"},
}};
constexpr absl::string_view kGtePrefixes[] = {"", "new.", "gte."};
// Its own code, model_type "new", calls the last norm otherwise.
constexpr HeadLayout kGteHeads[] = {heads::kPoolerSequence,
                                    heads::kToken,
                                    {.task = HeadTask::kMaskedLm,
                                     .rows = HeadRows::kEach,
                                     .dense = "lm_head.dense",
                                     .activation = HeadActivation::kGeluErf,
                                     .norm = "lm_head.norm",
                                     .output = "lm_head.decoder"}};
constexpr TensorNames kGteTensors = {kGteLayouts, kGtePrefixes, kHeads, kGteHeads};
constexpr absl::string_view kGteTypes[] = {"gte"};
constexpr absl::string_view kGteNewTypes[] = {"new"};
const SizeField kGteSizes[] = {kHiddenField,
                               kLayersField,
                               kHeadsField,
                               kIntermediateField,
                               kVocabularyField,
                               kPositionsField,
                               {{"type_vocab_size", kMaxVocabulary, 1, 0}, sizes::Types}};
constexpr absl::string_view kGteNewOthers[] = {"rope_theta", "rope_scaling"};
constexpr FixedField kGteNewFixed[] = {
    {"pack_qkv", "[true]"},
    {"position_embedding_type", R"(["rope"])"},
    {"layer_norm_type", R"(["layer_norm"])"},
    {"logn_attention_scale", "[false]"},
};
constexpr absl::string_view kGteNewHarmless[] = {"auto_map", "logn_attention_clip1", "unpad_inputs",
                                                 "use_memory_efficient_attention"};

absl::Status CompleteGteWith(const Json& json, double default_theta, EncoderConfig& config) {
  SetRotary(config);
  config.feed_forward.gated = true;
  config.biases.up = false;
  CTX_RETURN_IF_ERROR(ReadRotary(json, {.default_theta = default_theta}, config.position.rotary));
  return CheckRotaryHeads(config);
}
absl::Status CompleteGte(const Json& json, EncoderConfig& config) {
  return CompleteGteWith(json, 160000.0, config);
}
absl::Status CompleteGteNew(const Json& json, EncoderConfig& config) {
  return CompleteGteWith(json, 10000.0, config);
}

// Jina Embeddings v3 without its adapters.

constexpr TensorLayout kJina3Layouts[] = {{
    .anchor = "encoder.layers.0.mixer.Wqkv.weight",
    .token_embedding = "embeddings.word_embeddings.weight",
    .type_embedding = "embeddings.token_type_embeddings.weight",
    .embedding_norm = "emb_ln",
    .layer = {.prefix = "encoder.layers.#.",
              .query_key_value = "mixer.Wqkv",
              .attention_output = "mixer.out_proj",
              .attention_norm = "norm1",
              .up = "mlp.fc1",
              .down = "mlp.fc2",
              .output_norm = "norm2"},
}};
constexpr absl::string_view kJina3Prefixes[] = {"", "roberta.", "jina_embeddings_v3."};
constexpr HeadLayout kJina3Heads[] = {heads::kRobertaSequence, heads::kToken,
                                      heads::kRobertaMaskedLm};
constexpr TensorNames kJina3Tensors = {kJina3Layouts, kJina3Prefixes, kHeads, kJina3Heads};
constexpr absl::string_view kJina3Types[] = {"jina_embeddings_v3"};

absl::Status CompleteJina3(const Json& json, EncoderConfig& config) {
  SetRotary(config);
  CTX_RETURN_IF_ERROR(ReadRotary(json, {.default_theta = 20000.0}, config.position.rotary));
  return CheckRotaryHeads(config);
}

// ModernBERT: layers with a window between those without, each kind with angles of its own.

constexpr TensorLayout kModernBertLayouts[] = {{
    .anchor = "embeddings.tok_embeddings.weight",
    .token_embedding = "embeddings.tok_embeddings.weight",
    .embedding_norm = "embeddings.norm",
    .final_norm = "final_norm",
    .layer = {.prefix = "layers.#.",
              .query_key_value = "attn.Wqkv",
              .attention_output = "attn.Wo",
              .attention_norm = "attn_norm",
              .gate_up = "mlp.Wi",
              .down = "mlp.Wo",
              .output_norm = "mlp_norm"},
}};
constexpr absl::string_view kModernBertPrefixes[] = {"", "model."};
constexpr absl::string_view kModernBertUnused[] = {"head.", "decoder.", "classifier."};

// The dense layer, the activation and the norm before every one of its heads.
absl::Status CompleteModernBertHead(const Json& json, HeadConfig& head) {
  CTX_ASSIGN_OR_RETURN(head.dense_bias, ReadBoolean(json, kConfigFile, {"classifier_bias", false}));
  CTX_ASSIGN_OR_RETURN(head.activation, ReadHeadActivation(json, "classifier_activation", "gelu"));
  if (head.task == HeadTask::kMaskedLm) {
    CTX_ASSIGN_OR_RETURN(head.output_bias, ReadBoolean(json, kConfigFile, {"decoder_bias", true}));
  }
  if (head.task != HeadTask::kSequenceClassification) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(const std::string pooling,
                       ReadWord(json, kConfigFile, {"classifier_pooling", {"cls", "mean"}, "cls"}));
  head.rows = pooling == "cls" ? HeadRows::kFirst : HeadRows::kMean;
  return absl::OkStatus();
}
constexpr HeadLayout ModernBertHead(HeadTask task, absl::string_view output) {
  return {.task = task,
          .rows = HeadRows::kEach,
          .dense = "head.dense",
          .norm = "head.norm",
          .output = output,
          .complete = CompleteModernBertHead};
}
constexpr HeadLayout kModernBertHeads[] = {
    ModernBertHead(HeadTask::kSequenceClassification, "classifier"),
    ModernBertHead(HeadTask::kTokenClassification, "classifier"),
    ModernBertHead(HeadTask::kMaskedLm, "decoder")};
constexpr TensorNames kModernBertTensors = {kModernBertLayouts, kModernBertPrefixes,
                                            kModernBertUnused, kModernBertHeads};
constexpr absl::string_view kModernBertTypes[] = {"modernbert"};
const SizeField kModernBertSizes[] = {kHiddenField,       kLayersField,     kHeadsField,
                                      kIntermediateField, kVocabularyField, kPositionsField};
constexpr absl::string_view kModernBertOthers[] = {
    "attention_bias",    "mlp_bias",         "norm_bias",
    "local_attention",   "layer_types",      "rope_parameters",
    "global_rope_theta", "local_rope_theta", "global_attn_every_n_layers"};
constexpr FixedField kModernBertFixed[] = {{"position_embedding_type", R"(["absolute"])"},
                                           {"rope_scaling", "[null]"}};
constexpr absl::string_view kModernBertHarmless[] = {
    "classifier_activation",     "classifier_bias",
    "classifier_pooling",        "decoder_bias",
    "embedding_dropout",         "mlp_dropout",
    "deterministic_flash_attn",  "layer_norm_eps",
    "initializer_cutoff_factor", "reference_compile",
    "repad_logits_with_grad",    "sparse_prediction",
    "sparse_pred_ignore_index"};

absl::Status ReadModernBertBiases(const Json& json, BiasConfig& biases) {
  CTX_ASSIGN_OR_RETURN(biases.query_key_value,
                       ReadBoolean(json, kConfigFile, {"attention_bias", false}));
  biases.attention_output = biases.query_key_value;
  CTX_ASSIGN_OR_RETURN(biases.up, ReadBoolean(json, kConfigFile, {"mlp_bias", false}));
  biases.down = biases.up;
  CTX_ASSIGN_OR_RETURN(biases.norm, ReadBoolean(json, kConfigFile, {"norm_bias", false}));
  return absl::OkStatus();
}

absl::Status CompleteModernBert(const Json& json, EncoderConfig& config) {
  SetRotary(config);
  config.norm_placement = NormPlacement::kPre;
  config.final_norm = true;
  config.first_attention_norm = false;
  config.feed_forward.gated = true;
  CTX_RETURN_IF_ERROR(ReadModernBertBiases(json, config.biases));
  // The window counts the tokens on both sides.
  CTX_ASSIGN_OR_RETURN(const int window,
                       ReadInteger(json, kConfigFile, {"local_attention", kMaxPositions, 128, 2}));
  config.attention.window = window / 2;
  CTX_RETURN_IF_ERROR(ReadLayerTypes(
      json, {.period_field = "global_attn_every_n_layers", .period = 3, .full = 0}, config));
  CTX_RETURN_IF_ERROR(ReadRotary(json,
                                 {.theta = "global_rope_theta",
                                  .default_theta = 160000.0,
                                  .layer_type = "full_attention",
                                  .scaled = false},
                                 config.position.rotary));
  CTX_RETURN_IF_ERROR(ReadRotary(
      json, {.theta = "local_rope_theta", .layer_type = "sliding_attention", .scaled = false},
      config.position.local_rotary));
  return CheckRotaryHeads(config);
}

}  // namespace

const Family kNomicBertFamily = {
    .model_types = kNomicTypes,
    .sizes = kNomicSizes,
    .activation = {"hidden_act", "silu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .others = kRopeParameters,
    .complete = CompleteNomic,
    .tensors = &kNomicTensors,
};

const Family kNomicBertGptFamily = {
    .model_types = kNomicTypes,
    .marker = "n_embd",
    .sizes = kNomicGptSizes,
    .activation = {"", "silu"},
    .epsilon = {"layer_norm_epsilon", 1e-5},
    .others = kNomicGptOthers,
    .fixed = kNomicGptFixed,
    .harmless = kNomicGptHarmless,
    .complete = CompleteNomicGpt,
    .tensors = &kNomicTensors,
};

const Family kGteFamily = {
    .model_types = kGteTypes,
    .sizes = kGteSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .others = kRopeParameters,
    .complete = CompleteGte,
    .tensors = &kGteTensors,
};

const Family kGteNewFamily = {
    .model_types = kGteNewTypes,
    .sizes = kGteSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .others = kGteNewOthers,
    .fixed = kGteNewFixed,
    .harmless = kGteNewHarmless,
    .complete = CompleteGteNew,
    .tensors = &kGteTensors,
};

const Family kJinaV3Family = {
    .model_types = kJina3Types,
    .sizes = kGteSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-5},
    .others = kRopeParameters,
    .complete = CompleteJina3,
    .tensors = &kJina3Tensors,
};

const Family kModernBertFamily = {
    .model_types = kModernBertTypes,
    .sizes = kModernBertSizes,
    .activation = {"hidden_activation", "gelu"},
    .epsilon = {"norm_eps", 1e-5},
    .others = kModernBertOthers,
    .fixed = kModernBertFixed,
    .harmless = kModernBertHarmless,
    .complete = CompleteModernBert,
    .tensors = &kModernBertTensors,
};

}  // namespace contexture
