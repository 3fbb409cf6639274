#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/model/encoder_config.h"
#include "core/model/json_fields.h"

namespace contexture {

// How messages call the file.
inline constexpr absl::string_view kConfigFile = "config.json";

// Caps far above any encoder in use; they keep the arithmetic on sizes far from overflow.
inline constexpr int kMaxHidden = 32768;
inline constexpr int kMaxIntermediate = 262144;
inline constexpr int kMaxLayers = 1024;
inline constexpr int kMaxVocabulary = 8 << 20;
inline constexpr int kMaxPositions = 1 << 20;

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
  absl::Span<const absl::string_view> others;  // fields that `complete` reads
  absl::Span<const FixedField> fixed;
  absl::Span<const absl::string_view> harmless;  // besides kHarmlessFields
  // Reads `others` and sets what follows from the fields. The sizes, also of heads, are there.
  // Codes: those of ReadEncoderConfig.
  absl::Status (*complete)(const Json&, EncoderConfig&);
};

// The rows of config_reader.cc's table.
extern const Family kBertFamily;
extern const Family kTransformerEncoderFamily;

}  // namespace contexture
