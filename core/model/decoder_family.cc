// Models of the decoder's build that embed texts: Llama (Touvron et al. 2023), Mistral (Jiang et
// al. 2023), Qwen2 and Qwen3 (Yang et al. 2024, 2025), Gemma 3 (2025); EuroBERT (Boizard et al.
// 2025), which is Llama without the causal mask.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/model/families.h"
#include "core/model/layer_types.h"
#include "core/model/rotary_fields.h"
#include "core/model/standard_fields.h"

namespace contexture {
namespace {

constexpr TensorLayout kLayout = {
    .anchor = "embed_tokens.weight",
    .token_embedding = "embed_tokens.weight",
    .final_norm = "norm",
    .layer = {.prefix = "layers.#.",
              .query = "self_attn.q_proj",
              .key = "self_attn.k_proj",
              .value = "self_attn.v_proj",
              .query_norm = "self_attn.q_norm",
              .key_norm = "self_attn.k_norm",
              .attention_output = "self_attn.o_proj",
              .attention_norm = "input_layernorm",
              .gate = "mlp.gate_proj",
              .up = "mlp.up_proj",
              .down = "mlp.down_proj",
              .output_norm = "post_attention_layernorm"},
};
constexpr TensorLayout GemmaLayout() {
  TensorLayout layout = kLayout;
  layout.layer.attention_output_norm = "post_attention_layernorm";
  layout.layer.output_norm = "pre_feedforward_layernorm";
  layout.layer.feed_forward_output_norm = "post_feedforward_layernorm";
  return layout;
}
constexpr TensorLayout kLayouts[] = {kLayout};
constexpr TensorLayout kGemmaLayouts[] = {GemmaLayout()};
constexpr absl::string_view kPrefixes[] = {"", "model."};
constexpr absl::string_view kHeads[] = {"lm_head.", "score.", "classifier.", "qa_outputs.",
                                        ".inv_freq"};
constexpr HeadLayout kScoreHeads[] = {heads::kScoreSequence, heads::kScoreToken};

absl::Status CompleteEuroBertHead(const Json& json, HeadConfig& head) {
  const absl::string_view field =
      json.contains("classifier_pooling") ? "classifier_pooling" : "clf_pooling";
  CTX_ASSIGN_OR_RETURN(const std::string pooling,
                       ReadWord(json, kConfigFile, {field, {"late", "bos", "mean"}, "late"}));
  head.rows = pooling == "late"  ? HeadRows::kMeanLate
              : pooling == "bos" ? HeadRows::kFirst
                                 : HeadRows::kMean;
  return absl::OkStatus();
}
constexpr absl::string_view kEuroBertUnused[] = {"lm_head.", "classifier.", "dense.", ".inv_freq"};
constexpr HeadLayout kEuroBertHeads[] = {
    {.dense = "dense", .activation = HeadActivation::kGeluErf, .complete = CompleteEuroBertHead},
    heads::kToken,
    {.task = HeadTask::kMaskedLm,
     .rows = HeadRows::kEach,
     .output = "lm_head",
     .output_bias = false}};

constexpr TensorNames kTensors = {kLayouts, kPrefixes, kHeads, kScoreHeads};
constexpr TensorNames kEuroBertTensors = {kLayouts, kPrefixes, kEuroBertUnused, kEuroBertHeads};
constexpr TensorNames kGemmaTensors = {kGemmaLayouts, kPrefixes, kHeads, kScoreHeads};

const SizeField kSizes[] = {kHiddenField,        kLayersField,     kHeadsField,
                            kIntermediateField,  kVocabularyField, kPositionsField,
                            kKeyValueHeadsField, kHeadSizeField};
// Where transformers has defaults of its own for what the file leaves out, it must not.
const SizeField kGroupedSizes[] = {kHiddenField,
                                   kLayersField,
                                   kHeadsField,
                                   kIntermediateField,
                                   kVocabularyField,
                                   kPositionsField,
                                   {{"num_key_value_heads", kMaxHidden}, sizes::KeyValueHeads},
                                   kHeadSizeField};
const SizeField kStrictSizes[] = {kHiddenField,
                                  kLayersField,
                                  kHeadsField,
                                  kIntermediateField,
                                  kVocabularyField,
                                  kPositionsField,
                                  {{"num_key_value_heads", kMaxHidden}, sizes::KeyValueHeads},
                                  {{"head_dim", kMaxHidden}, sizes::HeadSize}};
constexpr absl::string_view kLlamaOthers[] = {"rope_parameters", "rope_theta", "rope_scaling",
                                              "attention_bias", "mlp_bias"};
constexpr absl::string_view kMistralOthers[] = {"rope_parameters", "rope_theta", "rope_scaling",
                                                "sliding_window"};
constexpr absl::string_view kQwenOthers[] = {
    "rope_parameters", "rope_theta",         "rope_scaling",      "attention_bias",
    "sliding_window",  "use_sliding_window", "max_window_layers", "layer_types"};
constexpr absl::string_view kGemmaOthers[] = {"rope_parameters",
                                              "rope_theta",
                                              "rope_scaling",
                                              "rope_local_base_freq",
                                              "attention_bias",
                                              "sliding_window",
                                              "sliding_window_pattern",
                                              "_sliding_window_pattern",
                                              "layer_types",
                                              "query_pre_attn_scalar",
                                              "use_bidirectional_attention"};
constexpr FixedField kGemmaFixed[] = {{"attn_logit_softcapping", "[null]"}};
constexpr absl::string_view kHarmless[] = {"pretraining_tp"};
constexpr absl::string_view kGemmaHarmless[] = {"final_logit_softcapping", "cache_implementation"};
// "auto_map" names the code that transformers took over.
constexpr absl::string_view kEuroBertHarmless[] = {"pretraining_tp", "auto_map",
                                                   "classifier_pooling", "clf_pooling"};

// What all of them have.
void SetDecoder(EncoderConfig& config) {
  config.max_length = config.position.num_positions;
  config.position.kind = PositionKind::kRotary;
  config.embedding.norm = false;
  config.norm_kind = NormKind::kRms;
  config.norm_placement = NormPlacement::kPre;
  config.final_norm = true;
  config.biases = BiasConfig::All(false);
  config.attention.causal = true;
  config.feed_forward.gated = true;
}

absl::Status CompleteDecoder(const Json& json, EncoderConfig& config) {
  SetDecoder(config);
  CTX_RETURN_IF_ERROR(ReadRotary(json, {}, config.position.rotary));
  return CheckRotaryHeads(config);
}

absl::Status ReadAttentionBias(const Json& json, BiasConfig& biases) {
  CTX_ASSIGN_OR_RETURN(biases.query_key_value,
                       ReadBoolean(json, kConfigFile, {"attention_bias", false}));
  biases.attention_output = biases.query_key_value;
  return absl::OkStatus();
}

absl::Status CompleteLlama(const Json& json, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(CompleteDecoder(json, config));
  CTX_RETURN_IF_ERROR(ReadAttentionBias(json, config.biases));
  CTX_ASSIGN_OR_RETURN(config.biases.up, ReadBoolean(json, kConfigFile, {"mlp_bias", false}));
  config.biases.down = config.biases.up;
  return absl::OkStatus();
}

absl::Status CompleteEuroBert(const Json& json, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(CompleteLlama(json, config));
  config.attention.causal = false;
  return absl::OkStatus();
}

// "sliding_window" counts the token itself. 0: absent or null.
absl::Status ReadSlidingWindow(const Json& json, int fallback, int& window) {
  const auto found = json.find("sliding_window");
  window = 0;
  if (found != json.end() && found->is_null()) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(
      window, ReadInteger(json, kConfigFile, {"sliding_window", kMaxPositions, fallback, 2}));
  return absl::OkStatus();
}

absl::Status CompleteMistral(const Json& json, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(CompleteDecoder(json, config));
  int window = 0;
  CTX_RETURN_IF_ERROR(ReadSlidingWindow(json, 4096, window));
  if (window > 0) config.attention.window = window - 1;
  return absl::OkStatus();
}

// Layers without a window: "layer_types" may be there, but lists none that has one. WHY says what
// leaves the window out.
absl::Status ReadFullLayers(const Json& json, absl::string_view why, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(ReadLayerTypes(json, {}, config));
  std::vector<bool>& local = config.attention.local;
  const auto found = std::find(local.begin(), local.end(), true);
  if (found != local.end()) {
    return absl::InvalidArgumentError(absl::StrCat(kConfigFile, " 'layer_types' has ",
                                                   "\"sliding_attention\" for layer ",
                                                   found - local.begin(), ", but ", why));
  }
  local.clear();
  return absl::OkStatus();
}

absl::Status CompleteQwenWindow(const Json& json, EncoderConfig& config) {
  config.position.local_rotary = config.position.rotary;
  CTX_ASSIGN_OR_RETURN(const bool slides,
                       ReadBoolean(json, kConfigFile, {"use_sliding_window", false}));
  if (!slides) return ReadFullLayers(json, "'use_sliding_window' is false", config);
  int window = 0;
  CTX_RETURN_IF_ERROR(ReadSlidingWindow(json, 4096, window));
  if (window == 0) return ReadFullLayers(json, "'sliding_window' is null", config);
  config.attention.window = window - 1;
  CTX_RETURN_IF_ERROR(ReadLayerTypes(json, {}, config));
  if (json.contains("layer_types") && !json["layer_types"].is_null()) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(const int full_layers,
                       ReadInteger(json, kConfigFile, {"max_window_layers", kMaxLayers, 28, 0}));
  for (int i = 0; i < config.num_layers; ++i) config.attention.local[i] = i >= full_layers;
  return absl::OkStatus();
}

absl::Status CompleteQwen2(const Json& json, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(CompleteDecoder(json, config));
  config.biases.query_key_value = true;
  return CompleteQwenWindow(json, config);
}

absl::Status CompleteQwen3(const Json& json, EncoderConfig& config) {
  CTX_RETURN_IF_ERROR(CompleteDecoder(json, config));
  CTX_RETURN_IF_ERROR(ReadAttentionBias(json, config.biases));
  config.attention.query_key_norm = true;
  return CompleteQwenWindow(json, config);
}

absl::Status CompleteGemmaAttention(const Json& json, EncoderConfig& config) {
  AttentionConfig& attention = config.attention;
  CTX_ASSIGN_OR_RETURN(
      const float scalar,
      ReadNumber(json, kConfigFile,
                 {.name = "query_pre_attn_scalar", .min = 1e-3, .max = 1e6, .fallback = 256.0}));
  attention.scale = 1.0f / std::sqrt(scalar);
  attention.query_key_norm = true;
  CTX_ASSIGN_OR_RETURN(const bool both_ways,
                       ReadBoolean(json, kConfigFile, {"use_bidirectional_attention", false}));
  attention.causal = !both_ways;
  int window = 0;
  CTX_RETURN_IF_ERROR(ReadSlidingWindow(json, 4096, window));
  // Both ways it counts the tokens on both sides, else the token itself and those before it.
  attention.window = both_ways ? window / 2 : std::max(window - 1, 0);
  const absl::string_view period = json.contains("sliding_window_pattern")
                                       ? "sliding_window_pattern"
                                       : "_sliding_window_pattern";
  return ReadLayerTypes(json, {.period_field = period, .period = 6, .full = -1}, config);
}

absl::Status CompleteGemma(const Json& json, EncoderConfig& config) {
  SetDecoder(config);
  config.norm_placement = NormPlacement::kSandwich;
  config.norm_weight_offset = 1.0f;
  config.embedding.scale = std::sqrt(static_cast<float>(config.hidden_size));
  CTX_RETURN_IF_ERROR(ReadAttentionBias(json, config.biases));
  CTX_RETURN_IF_ERROR(ReadRotary(json, {.default_theta = 1e6, .layer_type = "full_attention"},
                                 config.position.rotary));
  CTX_RETURN_IF_ERROR(ReadRotary(
      json, {.theta = "rope_local_base_freq", .layer_type = "sliding_attention", .scaled = false},
      config.position.local_rotary));
  CTX_RETURN_IF_ERROR(CheckRotaryHeads(config));
  return CompleteGemmaAttention(json, config);
}

constexpr absl::string_view kLlamaTypes[] = {"llama"};
constexpr absl::string_view kEuroBertTypes[] = {"eurobert"};
constexpr absl::string_view kMistralTypes[] = {"mistral"};
constexpr absl::string_view kQwen2Types[] = {"qwen2"};
constexpr absl::string_view kQwen3Types[] = {"qwen3"};
constexpr absl::string_view kGemmaTypes[] = {"gemma3_text"};

}  // namespace

const Family kLlamaFamily = {
    .model_types = kLlamaTypes,
    .sizes = kSizes,
    .activation = {"hidden_act", "silu"},
    .epsilon = {"rms_norm_eps", 1e-6},
    .others = kLlamaOthers,
    .harmless = kHarmless,
    .complete = CompleteLlama,
    .tensors = &kTensors,
};

const Family kEuroBertFamily = {
    .model_types = kEuroBertTypes,
    .sizes = kSizes,
    .activation = {"hidden_act", "silu"},
    .epsilon = {"rms_norm_eps", 1e-5},
    .others = kLlamaOthers,
    .harmless = kEuroBertHarmless,
    .complete = CompleteEuroBert,
    .tensors = &kEuroBertTensors,
};

const Family kMistralFamily = {
    .model_types = kMistralTypes,
    .sizes = kGroupedSizes,
    .activation = {"hidden_act", "silu"},
    .epsilon = {"rms_norm_eps", 1e-6},
    .others = kMistralOthers,
    .complete = CompleteMistral,
    .tensors = &kTensors,
};

const Family kQwen2Family = {
    .model_types = kQwen2Types,
    .sizes = kGroupedSizes,
    .activation = {"hidden_act", "silu"},
    .epsilon = {"rms_norm_eps", 1e-6},
    .others = kQwenOthers,
    .complete = CompleteQwen2,
    .tensors = &kTensors,
};

const Family kQwen3Family = {
    .model_types = kQwen3Types,
    .sizes = kStrictSizes,
    .activation = {"hidden_act", "silu"},
    .epsilon = {"rms_norm_eps", 1e-6},
    .others = kQwenOthers,
    .complete = CompleteQwen3,
    .tensors = &kTensors,
};

const Family kGemma3Family = {
    .model_types = kGemmaTypes,
    .sizes = kStrictSizes,
    .activation = {"hidden_activation", "gelu_pytorch_tanh"},
    .epsilon = {"rms_norm_eps", 1e-6},
    .others = kGemmaOthers,
    .fixed = kGemmaFixed,
    .harmless = kGemmaHarmless,
    .complete = CompleteGemma,
    .tensors = &kGemmaTensors,
};

}  // namespace contexture
