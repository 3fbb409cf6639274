#pragma once

#include <initializer_list>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/model/json_reader.h"

namespace contexture {

// A field that may be there, but only with one of some values; others would change what is
// computed.
struct FixedField {
  absl::string_view name;
  absl::string_view values;  // the values that are computed, as the text of a JSON array
};

// What is known about the fields of an object. A field that is in none of the lists is refused: it
// may well change what is computed.
struct FieldRules {
  absl::Span<const absl::string_view> known;  // read elsewhere
  absl::Span<const FixedField> fixed;
  absl::Span<const absl::string_view> harmless;  // no value of it changes what is computed
};

// Checks every field of OBJECT, which messages call WHAT. FAILED_PRECONDITION: a field or value
// that is not known, named with its value.
absl::Status CheckFields(const Json& object, absl::string_view what, const FieldRules& rules);

struct IntegerField {
  absl::string_view name;
  int max = 0;
  std::optional<int> fallback =
      std::nullopt;  // used when the field is absent or null; none: it is required
  int min = 1;
};

// The integer min .. max of a field, min >= 0. INVALID_ARGUMENT: absent, no integer, or out of
// range.
absl::StatusOr<int> ReadInteger(const Json& object, absl::string_view what,
                                const IntegerField& field);

struct BooleanField {
  absl::string_view name;
  std::optional<bool> fallback = std::nullopt;  // as above
};

// INVALID_ARGUMENT: absent, or neither true nor false.
absl::StatusOr<bool> ReadBoolean(const Json& object, absl::string_view what,
                                 const BooleanField& field);

struct WordField {
  absl::string_view name;
  std::initializer_list<absl::string_view> computed;
  absl::string_view fallback;  // when the field is absent
};

// One of some words. INVALID_ARGUMENT: no string. FAILED_PRECONDITION: another word.
absl::StatusOr<std::string> ReadWord(const Json& object, absl::string_view what,
                                     const WordField& field);

struct NumberField {
  absl::string_view name;
  double min = 0.0;
  double max = 0.0;
  double fallback = 0.0;  // when the field is absent
};

// The number min .. max of a field. INVALID_ARGUMENT: no number, or out of range.
absl::StatusOr<float> ReadNumber(const Json& object, absl::string_view what,
                                 const NumberField& field);

// "config.json 'hidden_size' is "x", not an integer": INVALID_ARGUMENT.
absl::Status WrongType(absl::string_view what, absl::string_view name, const Json& value,
                       absl::string_view expected);

// "config.json 'hidden_act' is "swish2"; computed are gelu, relu": FAILED_PRECONDITION.
absl::Status NotComputed(absl::string_view what, absl::string_view name, const Json& value,
                         absl::string_view computed);

}  // namespace contexture
