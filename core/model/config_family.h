#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/model/encoder_config.h"
#include "core/model/json_fields.h"
#include "core/model/tensor_layout.h"

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
  absl::string_view name = "";      // empty: the family has but one
  absl::string_view fallback = "";  // when the field is absent
};
struct EpsilonField {
  absl::string_view name = "";  // as above
  double fallback = 0.0;
};

// A family: what its config.json and its tensors call things, and what is the same in all its
// models.
struct Family {
  absl::Span<const absl::string_view> model_types = {};
  // Not empty: the row is of files that have this field, and stands before the others of its types,
  // which share its tensors.
  absl::string_view marker = "";
  absl::Span<const SizeField> sizes = {};
  ActivationField activation = {};
  EpsilonField epsilon = {};
  absl::Span<const absl::string_view> others = {};  // fields that `complete` reads
  absl::Span<const FixedField> fixed = {};
  absl::Span<const absl::string_view> harmless = {};  // besides kHarmlessFields
  // Reads `others` and sets what follows from the fields. The sizes, also of heads, are there.
  // Codes: those of ReadEncoderConfig.
  absl::Status (*complete)(const Json&, EncoderConfig&) = nullptr;
  const TensorNames* tensors = nullptr;
};

// The rows, a group in each *_family.cc.
absl::Span<const Family* const> AllFamilies();

}  // namespace contexture
