#include "core/model/config_reader.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "core/base/status_macros.h"
#include "core/model/config_family.h"
#include "core/model/harmless_fields.h"
#include "core/model/head_reader.h"
#include "core/model/json_fields.h"
#include "core/model/json_reader.h"

namespace contexture {
namespace {

constexpr absl::string_view kWhat = kConfigFile;

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

absl::StatusOr<const Family*> FindFamily(const Json& json, const std::string& model_type) {
  std::vector<absl::string_view> computed;
  for (const Family* family : AllFamilies()) {
    for (absl::string_view type : family->model_types) {
      const bool marked = family->marker.empty() || json.contains(std::string(family->marker));
      if (model_type == type && marked) return family;
      computed.push_back(type);
    }
  }
  computed.erase(std::unique(computed.begin(), computed.end()), computed.end());
  return NotComputed(kWhat, "model_type", json["model_type"], absl::StrJoin(computed, ", "));
}

absl::StatusOr<std::string> ReadModelType(const Json& json) {
  if (!json.contains("model_type")) {
    return absl::InvalidArgumentError(absl::StrCat(kWhat, " lacks 'model_type'"));
  }
  const Json& value = json["model_type"];
  if (!value.is_string()) return WrongType(kWhat, "model_type", value, "a string");
  return value.get<std::string>();
}

absl::Status CheckFamilyFields(const Json& json, const Family& family) {
  std::vector<absl::string_view> known = {"model_type"};
  if (!family.activation.name.empty()) known.push_back(family.activation.name);
  if (!family.epsilon.name.empty()) known.push_back(family.epsilon.name);
  for (const SizeField& size : family.sizes) known.push_back(size.field.name);
  known.insert(known.end(), family.others.begin(), family.others.end());
  std::vector<FixedField> fixed(family.fixed.begin(), family.fixed.end());
  fixed.insert(fixed.end(), std::begin(kFixedFields), std::end(kFixedFields));
  std::vector<absl::string_view> harmless(family.harmless.begin(), family.harmless.end());
  harmless.insert(harmless.end(), std::begin(kHarmlessFields), std::end(kHarmlessFields));
  return CheckFields(json, kWhat, {.known = known, .fixed = fixed, .harmless = harmless});
}

absl::StatusOr<Activation> ReadActivation(const Json& json, const ActivationField& field) {
  Json value = std::string(field.fallback);
  if (!field.name.empty()) value = json.value(std::string(field.name), value);
  if (!value.is_string()) return WrongType(kWhat, field.name, value, "a string");
  std::vector<absl::string_view> computed;
  for (const ActivationName& known : kActivations) {
    if (value.get_ref<const std::string&>() == known.name) return known.activation;
    computed.push_back(known.name);
  }
  return NotComputed(kWhat, field.name, value, absl::StrJoin(computed, ", "));
}

absl::StatusOr<float> ReadEpsilon(const Json& json, const EpsilonField& field) {
  if (field.name.empty()) return static_cast<float>(field.fallback);
  // Below the smallest normal float it would be no epsilon.
  return ReadNumber(json, kWhat,
                    {.name = field.name, .min = 1e-37, .max = 1.0, .fallback = field.fallback});
}

absl::Status CheckDivides(int total, absl::string_view what, int parts, absl::string_view of) {
  if (total % parts == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      kWhat, ": the ", what, " ", total, " is not divisible by the number of ", of, " ", parts));
}

// Bounds the rows of the projections; heads and their size are each bounded by kMaxHidden alone.
absl::Status CheckHeads(const AttentionConfig& attention) {
  constexpr int64_t kMaxQuerySize = int64_t{4} * kMaxHidden;
  if (int64_t{attention.num_heads} * attention.head_size <= kMaxQuerySize) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(kWhat, ": the number of attention heads ",
                                                 attention.num_heads, " times the head size ",
                                                 attention.head_size, " is above ", kMaxQuerySize));
}

// The sizes that follow from others where the file is silent.
absl::Status CompleteSizes(EncoderConfig& config) {
  AttentionConfig& attention = config.attention;
  if (attention.head_size == 0) {
    CTX_RETURN_IF_ERROR(
        CheckDivides(config.hidden_size, "hidden size", attention.num_heads, "attention heads"));
    attention.head_size = config.hidden_size / attention.num_heads;
  }
  CTX_RETURN_IF_ERROR(CheckHeads(attention));
  if (attention.num_key_value_heads == 0) attention.num_key_value_heads = attention.num_heads;
  CTX_RETURN_IF_ERROR(CheckDivides(attention.num_heads, "number of attention heads",
                                   attention.num_key_value_heads, "key-value heads"));
  attention.scale = 1.0f / std::sqrt(static_cast<float>(attention.head_size));
  if (config.num_layer_weights == 0) config.num_layer_weights = config.num_layers;
  if (config.embedding.size == 0) config.embedding.size = config.hidden_size;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EncoderConfig> ReadEncoderConfig(absl::string_view json_text) {
  CTX_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(json_text, kWhat));
  EncoderConfig config;
  CTX_ASSIGN_OR_RETURN(config.model_type, ReadModelType(json));
  CTX_ASSIGN_OR_RETURN(const Family* family, FindFamily(json, config.model_type));
  for (const SizeField& size : family->sizes) {
    CTX_ASSIGN_OR_RETURN(size.target(config), ReadInteger(json, kWhat, size.field));
  }
  CTX_ASSIGN_OR_RETURN(config.feed_forward.activation, ReadActivation(json, family->activation));
  CTX_ASSIGN_OR_RETURN(config.norm_epsilon, ReadEpsilon(json, family->epsilon));
  CTX_RETURN_IF_ERROR(CheckFamilyFields(json, *family));
  CTX_RETURN_IF_ERROR(CompleteSizes(config));
  CTX_RETURN_IF_ERROR(family->complete(json, config));
  CTX_RETURN_IF_ERROR(ReadHeads(json, *family, config));
  return config;
}

}  // namespace contexture
