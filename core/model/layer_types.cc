#include "core/model/layer_types.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/model/config_family.h"
#include "core/model/json_fields.h"

namespace contexture {
namespace {

absl::Status ReadList(const Json& types, EncoderConfig& config) {
  if (!types.is_array()) return WrongType(kConfigFile, "layer_types", types, "an array");
  if (types.size() != static_cast<size_t>(config.num_layers)) {
    return absl::InvalidArgumentError(absl::StrCat(kConfigFile, " 'layer_types' has ", types.size(),
                                                   " elements, the model has ", config.num_layers,
                                                   " layers"));
  }
  for (const Json& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      return NotComputed(kConfigFile, "layer_types", type, "full_attention, sliding_attention");
    }
    config.attention.local.push_back(type == "sliding_attention");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadLayerTypes(const Json& json, const LayerPattern& pattern, EncoderConfig& config) {
  config.attention.local.clear();
  const auto types = json.find("layer_types");
  if (types != json.end() && !types->is_null()) return ReadList(*types, config);
  int period = pattern.period;
  if (!pattern.period_field.empty()) {
    CTX_ASSIGN_OR_RETURN(
        period, ReadInteger(json, kConfigFile, {pattern.period_field, kMaxLayers, pattern.period}));
  }
  const int full = pattern.full < 0 ? period - 1 : pattern.full;
  for (int i = 0; i < config.num_layers; ++i) config.attention.local.push_back(i % period != full);
  return absl::OkStatus();
}

}  // namespace contexture
