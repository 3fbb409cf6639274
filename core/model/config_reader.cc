#include "core/model/config_reader.h"

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "core/base/status_macros.h"
#include "core/model/harmless_fields.h"
#include "core/model/json_fields.h"
#include "core/model/json_reader.h"

namespace contexture {
namespace {

constexpr absl::string_view kWhat = "config.json";

// Caps far above any encoder in use; they keep the arithmetic on sizes far from overflow.
constexpr int kMaxHidden = 32768;
constexpr int kMaxIntermediate = 262144;
constexpr int kMaxLayers = 1024;
constexpr int kMaxVocabulary = 8 << 20;
constexpr int kMaxPositions = 1 << 20;

struct SizeField {
  IntegerField field;
  int& (*target)(EncoderConfig&);
};
struct ActivationField {
  absl::string_view name;
  absl::string_view fallback;  // when the field is absent
};
struct EpsilonField {
  absl::string_view name;
  double fallback;  // when the field is absent
};

// A family: what its config.json calls things, and what is the same in all its models.
struct Family {
  absl::string_view model_type;
  absl::Span<const SizeField> sizes;
  ActivationField activation;
  EpsilonField epsilon;
  absl::Span<const FixedField> fixed;
  absl::Span<const absl::string_view> harmless;  // besides kHarmlessFields
  void (*complete)(EncoderConfig&);              // sets what follows from the fields
};

struct ActivationName {
  absl::string_view name;
  Activation activation;
};
constexpr ActivationName kActivations[] = {{"gelu", Activation::kGeluErf},
                                           {"gelu_new", Activation::kGeluTanh},
                                           {"gelu_pytorch_tanh", Activation::kGeluTanh},
                                           {"relu", Activation::kRelu},
                                           {"silu", Activation::kSilu},
                                           {"swish", Activation::kSilu}};

const SizeField kBertSizes[] = {
    {{"hidden_size", kMaxHidden}, [](EncoderConfig& c) -> int& { return c.hidden_size; }},
    {{"num_hidden_layers", kMaxLayers}, [](EncoderConfig& c) -> int& { return c.num_layers; }},
    {{"num_attention_heads", kMaxHidden},
     [](EncoderConfig& c) -> int& { return c.attention.num_heads; }},
    {{"intermediate_size", kMaxIntermediate},
     [](EncoderConfig& c) -> int& { return c.feed_forward.intermediate_size; }},
    {{"vocab_size", kMaxVocabulary}, [](EncoderConfig& c) -> int& { return c.vocabulary_size; }},
    {{"type_vocab_size", kMaxVocabulary, 2},
     [](EncoderConfig& c) -> int& { return c.type_vocabulary_size; }},
    {{"max_position_embeddings", kMaxPositions},
     [](EncoderConfig& c) -> int& { return c.position.num_positions; }},
};
constexpr FixedField kBertFixed[] = {
    {"position_embedding_type", R"(["absolute"])"},
    {"is_decoder", "[false]"},
    {"add_cross_attention", "[false]"},
};
// Of the pooler and of tasks that Google's first releases describe in the file.
constexpr absl::string_view kBertHarmless[] = {
    "directionality",       "pooler_fc_size",       "pooler_num_attention_heads",
    "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
};

void CompleteBert(EncoderConfig& config) {
  config.position.kind = PositionKind::kLearned;
  config.position.offset = 0;
  config.max_length = config.position.num_positions;
  config.norm_placement = NormPlacement::kPost;
  config.embedding_norm = true;
  config.final_norm = false;
}

const Family kFamilies[] = {
    {.model_type = "bert",
     .sizes = kBertSizes,
     .activation = {"hidden_act", "gelu"},
     .epsilon = {"layer_norm_eps", 1e-12},
     .fixed = kBertFixed,
     .harmless = kBertHarmless,
     .complete = CompleteBert},
};

absl::StatusOr<const Family*> FindFamily(const Json& json) {
  if (!json.contains("model_type")) {
    return absl::InvalidArgumentError(absl::StrCat(kWhat, " lacks 'model_type'"));
  }
  const Json& value = json["model_type"];
  if (!value.is_string()) return WrongType(kWhat, "model_type", value, "a string");
  std::vector<absl::string_view> computed;
  for (const Family& family : kFamilies) {
    if (value.get_ref<const std::string&>() == family.model_type) return &family;
    computed.push_back(family.model_type);
  }
  return NotComputed(kWhat, "model_type", value, absl::StrJoin(computed, ", "));
}

absl::Status CheckFamilyFields(const Json& json, const Family& family) {
  std::vector<absl::string_view> known = {"model_type", family.activation.name,
                                          family.epsilon.name};
  for (const SizeField& size : family.sizes) known.push_back(size.field.name);
  std::vector<FixedField> fixed(family.fixed.begin(), family.fixed.end());
  fixed.insert(fixed.end(), std::begin(kFixedFields), std::end(kFixedFields));
  std::vector<absl::string_view> harmless(family.harmless.begin(), family.harmless.end());
  harmless.insert(harmless.end(), std::begin(kHarmlessFields), std::end(kHarmlessFields));
  return CheckFields(json, kWhat, {.known = known, .fixed = fixed, .harmless = harmless});
}

absl::StatusOr<Activation> ReadActivation(const Json& json, const ActivationField& field) {
  const Json value = json.value(std::string(field.name), Json(std::string(field.fallback)));
  if (!value.is_string()) return WrongType(kWhat, field.name, value, "a string");
  std::vector<absl::string_view> computed;
  for (const ActivationName& known : kActivations) {
    if (value.get_ref<const std::string&>() == known.name) return known.activation;
    computed.push_back(known.name);
  }
  return NotComputed(kWhat, field.name, value, absl::StrJoin(computed, ", "));
}

absl::StatusOr<float> ReadEpsilon(const Json& json, const EpsilonField& field) {
  const Json value = json.value(std::string(field.name), Json(field.fallback));
  if (!value.is_number()) return WrongType(kWhat, field.name, value, "a number");
  const double epsilon = value.get<double>();
  // Written so that NaN fails too; below the smallest normal float it would be no epsilon.
  if (!(epsilon >= 1e-37 && epsilon <= 1.0)) {
    return absl::InvalidArgumentError(absl::StrCat(kWhat, " ", Quote(field.name), " is ",
                                                   Show(value), "; allowed are 1e-37 .. 1"));
  }
  return static_cast<float>(epsilon);
}

// The sizes of the heads, from those of the model.
absl::Status CompleteAttention(EncoderConfig& config) {
  AttentionConfig& attention = config.attention;
  if (config.hidden_size % attention.num_heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(kWhat, ": the hidden size ", config.hidden_size,
                     " is not divisible by the number of attention heads ", attention.num_heads));
  }
  attention.head_size = config.hidden_size / attention.num_heads;
  attention.scale = 1.0f / std::sqrt(static_cast<float>(attention.head_size));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EncoderConfig> ReadEncoderConfig(absl::string_view json_text) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, kWhat));
  CTX_ASSIGN_OR_RETURN(const Family* family, FindFamily(json));
  EncoderConfig config;
  config.model_type = std::string(family->model_type);
  for (const SizeField& size : family->sizes) {
    CTX_ASSIGN_OR_RETURN(size.target(config), ReadInteger(json, kWhat, size.field));
  }
  CTX_ASSIGN_OR_RETURN(config.feed_forward.activation, ReadActivation(json, family->activation));
  CTX_ASSIGN_OR_RETURN(config.norm_epsilon, ReadEpsilon(json, family->epsilon));
  CTX_RETURN_IF_ERROR(CheckFamilyFields(json, *family));
  CTX_RETURN_IF_ERROR(CompleteAttention(config));
  family->complete(config);
  return config;
}

}  // namespace contexture
