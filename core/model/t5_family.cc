// The encoder of T5 (Raffel et al. 2020). Its positions are unlimited; the limit, where the file
// has none, is that of the training.

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/model/families.h"
#include "core/model/standard_fields.h"

namespace contexture {
namespace {

int& Buckets(EncoderConfig& c) { return c.attention.relative_bias.num_buckets; }
int& Distance(EncoderConfig& c) { return c.attention.relative_bias.max_distance; }

const SizeField kT5Sizes[] = {
    {{"d_model", kMaxHidden}, sizes::Hidden},
    {{"num_layers", kMaxLayers}, sizes::Layers},
    {{"num_heads", kMaxHidden}, sizes::Heads},
    {{"d_kv", kMaxHidden}, sizes::HeadSize},
    {{"d_ff", kMaxIntermediate}, sizes::Intermediate},
    kVocabularyField,
    {{"n_positions", kMaxPositions, 512}, sizes::Positions},
    {{"relative_attention_num_buckets", 1 << 16, 32, 4}, Buckets},
    {{"relative_attention_max_distance", kMaxPositions, 128, 2}, Distance},
};
constexpr absl::string_view kT5Others[] = {"feed_forward_proj", "is_encoder_decoder"};
constexpr FixedField kT5Fixed[] = {{"is_decoder", "[false]"}};
constexpr absl::string_view kT5Harmless[] = {
    "num_decoder_layers", "scale_decoder_outputs", "initializer_factor", "dense_act_fn",
    "is_gated_act"};  // the last two say what feed_forward_proj does

constexpr TensorLayout T5Layout(absl::string_view tokens, bool gated) {
  TensorLayout layout = {
      .anchor = tokens,
      .token_embedding = tokens,
      .relative_bias = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
      .final_norm = "encoder.final_layer_norm",
      .layer = {.prefix = "encoder.block.#.layer.",
                .query = "0.SelfAttention.q",
                .key = "0.SelfAttention.k",
                .value = "0.SelfAttention.v",
                .attention_output = "0.SelfAttention.o",
                .attention_norm = "0.layer_norm",
                .gate = "1.DenseReluDense.wi_0",
                .up = gated ? "1.DenseReluDense.wi_1" : "1.DenseReluDense.wi",
                .down = "1.DenseReluDense.wo",
                .output_norm = "1.layer_norm"},
  };
  if (gated) layout.anchor = "encoder.block.0.layer.1.DenseReluDense.wi_0.weight";
  return layout;
}
constexpr TensorLayout kT5Layouts[] = {T5Layout("shared.weight", true),
                                       T5Layout("shared.weight", false)};
constexpr absl::string_view kNoPrefix[] = {""};
constexpr absl::string_view kT5Unused[] = {"decoder.", "lm_head.", "encoder.embed_tokens.weight"};
constexpr TensorNames kT5Tensors = {kT5Layouts, kNoPrefix, kT5Unused};
constexpr absl::string_view kT5Types[] = {"t5"};

struct FeedForwardName {
  absl::string_view name;
  Activation activation;
  bool gated;
};
constexpr FeedForwardName kFeedForwards[] = {
    {"relu", Activation::kRelu, false},          {"gelu_new", Activation::kGeluTanh, false},
    {"gelu", Activation::kGeluErf, false},       {"silu", Activation::kSilu, false},
    {"gated-gelu", Activation::kGeluTanh, true}, {"gated-silu", Activation::kSilu, true},
    {"gated-relu", Activation::kRelu, true}};

// A quarter of the buckets, half of a direction's, stand for one distance each; the others share
// the distances from there to the longest.
absl::Status CheckBuckets(const RelativeBiasConfig& bias) {
  if (bias.max_distance > bias.num_buckets / 4) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      kConfigFile, " 'relative_attention_max_distance' is ", bias.max_distance,
      "; it must be above a quarter of 'relative_attention_num_buckets' ", bias.num_buckets));
}

absl::Status CompleteT5(const Json& json, EncoderConfig& config) {
  CTX_ASSIGN_OR_RETURN(
      const std::string name,
      ReadWord(json, kConfigFile,
               {"feed_forward_proj",
                {"relu", "gelu_new", "gelu", "silu", "gated-gelu", "gated-silu", "gated-relu"},
                "relu"}));
  CTX_RETURN_IF_ERROR(CheckBuckets(config.attention.relative_bias));
  for (const FeedForwardName& known : kFeedForwards) {
    if (known.name != name) continue;
    config.feed_forward.activation = known.activation;
    config.feed_forward.gated = known.gated;
  }
  config.position.kind = PositionKind::kNone;
  config.max_length = config.position.num_positions;
  config.embedding.norm = false;
  config.norm_kind = NormKind::kRms;
  config.norm_placement = NormPlacement::kPre;
  config.final_norm = true;
  config.biases = BiasConfig::All(false);
  config.attention.scale = 1.0f;  // it is in the weights
  return absl::OkStatus();
}

}  // namespace

const Family kT5Family = {
    .model_types = kT5Types,
    .sizes = kT5Sizes,
    .activation = {"", "relu"},
    .epsilon = {"layer_norm_epsilon", 1e-6},
    .others = kT5Others,
    .fixed = kT5Fixed,
    .harmless = kT5Harmless,
    .complete = CompleteT5,
    .tensors = &kT5Tensors,
};

}  // namespace contexture
