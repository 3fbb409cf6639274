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
#include "core/model/config_family.h"
#include "core/model/harmless_fields.h"
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

const Family* const kFamilies[] = {&kBertFamily, &kTransformerEncoderFamily};

absl::StatusOr<const Family*> FindFamily(const Json& json) {
  if (!json.contains("model_type")) {
    return absl::InvalidArgumentError(absl::StrCat(kWhat, " lacks 'model_type'"));
  }
  const Json& value = json["model_type"];
  if (!value.is_string()) return WrongType(kWhat, "model_type", value, "a string");
  std::vector<absl::string_view> computed;
  for (const Family* family : kFamilies) {
    if (value.get_ref<const std::string&>() == family->model_type) return family;
    computed.push_back(family->model_type);
  }
  return NotComputed(kWhat, "model_type", value, absl::StrJoin(computed, ", "));
}

absl::Status CheckFamilyFields(const Json& json, const Family& family) {
  std::vector<absl::string_view> known = {"model_type", family.activation.name,
                                          family.epsilon.name};
  for (const SizeField& size : family.sizes) known.push_back(size.field.name);
  known.insert(known.end(), family.others.begin(), family.others.end());
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
  // Below the smallest normal float it would be no epsilon.
  return ReadNumber(json, kWhat,
                    {.name = field.name, .min = 1e-37, .max = 1.0, .fallback = field.fallback});
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
  CTX_RETURN_IF_ERROR(family->complete(json, config));
  return config;
}

}  // namespace contexture
