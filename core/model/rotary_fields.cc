#include "core/model/rotary_fields.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/model/config_family.h"
#include "core/model/json_fields.h"

namespace contexture {
namespace {

constexpr absl::string_view kKnown[] = {"rope_theta",
                                        "rope_type",
                                        "type",
                                        "factor",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "original_max_position_embeddings"};
constexpr FixedField kFixed[] = {{"partial_rotary_factor", "[1, null]"}};

struct ScalingName {
  absl::string_view name;
  RotaryScaling scaling;
};
constexpr ScalingName kScalings[] = {{"default", RotaryScaling::kNone},
                                     {"linear", RotaryScaling::kLinear},
                                     {"ntk", RotaryScaling::kNtk},
                                     {"llama3", RotaryScaling::kLlama3}};

absl::Status ReadTheta(const Json& object, absl::string_view what, absl::string_view name,
                       RotaryConfig& rotary) {
  CTX_ASSIGN_OR_RETURN(
      rotary.theta,
      ReadNumber(object, what, {.name = name, .min = 1.0, .max = 1e12, .fallback = rotary.theta}));
  return absl::OkStatus();
}

absl::Status ReadKind(const Json& object, absl::string_view what, RotaryConfig& rotary) {
  const absl::string_view name = object.contains("rope_type") ? "rope_type" : "type";
  const Json value = object.value(std::string(name), Json("default"));
  if (!value.is_string()) return WrongType(what, name, value, "a string");
  for (const ScalingName& known : kScalings) {
    if (value.get_ref<const std::string&>() != known.name) continue;
    rotary.scaling = known.scaling;
    return absl::OkStatus();
  }
  return NotComputed(what, name, value, "default, linear, ntk, llama3");
}

absl::Status ReadLlama3(const Json& object, absl::string_view what, RotaryConfig& rotary) {
  CTX_ASSIGN_OR_RETURN(
      rotary.low_frequency_factor,
      ReadNumber(object, what,
                 {.name = "low_freq_factor", .min = 1e-3, .max = 1e6, .fallback = 1.0}));
  CTX_ASSIGN_OR_RETURN(
      rotary.high_frequency_factor,
      ReadNumber(object, what,
                 {.name = "high_freq_factor", .min = 1e-3, .max = 1e6, .fallback = 4.0}));
  CTX_ASSIGN_OR_RETURN(
      rotary.original_length,
      ReadInteger(object, what, {"original_max_position_embeddings", kMaxPositions}));
  if (rotary.high_frequency_factor > rotary.low_frequency_factor) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, " 'high_freq_factor' is ", rotary.high_frequency_factor,
                   "; it must be above 'low_freq_factor' ", rotary.low_frequency_factor));
}

// An object of "rope_parameters" or "rope_scaling".
absl::Status ReadObject(const Json& object, absl::string_view what, RotaryConfig& rotary) {
  CTX_RETURN_IF_ERROR(
      CheckFields(object, what, {.known = kKnown, .fixed = kFixed, .harmless = {}}));
  CTX_RETURN_IF_ERROR(ReadTheta(object, what, "rope_theta", rotary));
  CTX_RETURN_IF_ERROR(ReadKind(object, what, rotary));
  if (rotary.scaling == RotaryScaling::kNone) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(
      rotary.factor,
      ReadNumber(object, what, {.name = "factor", .min = 1.0, .max = 1e6, .fallback = 0.0}));
  if (rotary.scaling != RotaryScaling::kLlama3) return absl::OkStatus();
  return ReadLlama3(object, what, rotary);
}

// The object NAME of JSON; null: it is absent or null.
absl::Status FindObject(const Json& json, absl::string_view what, absl::string_view name,
                        const Json*& found) {
  const auto at = json.find(std::string(name));
  found = at == json.end() || at->is_null() ? nullptr : &*at;
  if (found == nullptr || found->is_object()) return absl::OkStatus();
  return WrongType(what, name, *found, "an object");
}

// Which of "rope_parameters" (null: absent) and "rope_scaling" would apply is not written anywhere.
absl::Status CheckOneSpelling(const Json& json, const Json* parameters) {
  const auto scaling = json.find("rope_scaling");
  if (parameters == nullptr || scaling == json.end() || scaling->is_null()) return absl::OkStatus();
  return NotComputed(kConfigFile, "rope_scaling", *scaling,
                     absl::StrCat("null beside 'rope_parameters' ", Show(*parameters)));
}

// Where "rope_parameters" has an object for each type of layer, transformers passes over what
// stands beside them; values beside them that mean anything are refused. FOUND: the layer type's
// object, or null.
absl::Status FindLayerType(const Json& object, absl::string_view layer_type, std::string& what,
                           const Json*& found) {
  static constexpr absl::string_view kLayerTypes[] = {"full_attention", "sliding_attention"};
  static constexpr FixedField kPlain[] = {{"rope_type", R"(["default"])"},
                                          {"type", R"(["default"])"}};
  CTX_RETURN_IF_ERROR(
      CheckFields(object, what, {.known = kLayerTypes, .fixed = kPlain, .harmless = {}}));
  CTX_RETURN_IF_ERROR(FindObject(object, what, layer_type, found));
  absl::StrAppend(&what, " '", layer_type, "'");
  return absl::OkStatus();
}

// Of the older spelling with a type for each layer, transformers takes "rope_type" alone.
absl::Status CheckTypeSpelling(const Json& object) {
  if (object.contains("rope_type") || !object.contains("type")) return absl::OkStatus();
  return NotComputed(kConfigFile, "rope_scaling", object, "an object with 'rope_type'");
}

}  // namespace

absl::Status ReadRotary(const Json& json, const RotaryFields& fields, RotaryConfig& rotary) {
  rotary = {.theta = static_cast<float>(fields.default_theta)};
  const Json* object = nullptr;
  CTX_RETURN_IF_ERROR(FindObject(json, kConfigFile, "rope_parameters", object));
  CTX_RETURN_IF_ERROR(CheckOneSpelling(json, object));
  // Beside "rope_parameters" it is but the fallback, and null as good as absent.
  const bool ignored = object != nullptr && json.value(std::string(fields.theta), Json()).is_null();
  if (!fields.theta.empty() && !ignored)
    CTX_RETURN_IF_ERROR(ReadTheta(json, kConfigFile, fields.theta, rotary));
  std::string what = "config.json 'rope_parameters'";
  if (object != nullptr && !fields.layer_type.empty()) {
    const Json* nested = nullptr;
    CTX_RETURN_IF_ERROR(FindLayerType(*object, fields.layer_type, what, nested));
    object = nested;
  }
  if (object != nullptr) return ReadObject(*object, what, rotary);
  if (!fields.scaled) return absl::OkStatus();
  CTX_RETURN_IF_ERROR(FindObject(json, kConfigFile, "rope_scaling", object));
  if (object == nullptr) return absl::OkStatus();
  if (!fields.layer_type.empty()) CTX_RETURN_IF_ERROR(CheckTypeSpelling(*object));
  return ReadObject(*object, "config.json 'rope_scaling'", rotary);
}

absl::Status CheckRotaryHeads(const EncoderConfig& config) {
  const int head_size = config.attention.head_size;
  if (head_size % 2 == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      kConfigFile, ": a head has ", head_size, " elements (hidden size ", config.hidden_size, ", ",
      config.attention.num_heads,
      " heads); with rotary positions, which turn pairs of them, it must have an even number"));
}

}  // namespace contexture
