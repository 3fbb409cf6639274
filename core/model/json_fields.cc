#include "core/model/json_fields.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"

namespace contexture {
namespace {

bool Holds(absl::Span<const absl::string_view> names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

absl::Status CheckField(const std::string& name, const Json& value, absl::string_view what,
                        const FieldRules& rules) {
  if (Holds(rules.known, name) || Holds(rules.harmless, name)) return absl::OkStatus();
  for (const FixedField& field : rules.fixed) {
    if (field.name != name) continue;
    const Json values = Json::parse(field.values.data(), field.values.data() + field.values.size());
    if (std::find(values.begin(), values.end(), value) != values.end()) return absl::OkStatus();
    return NotComputed(what, name, value, field.values.substr(1, field.values.size() - 2));
  }
  return absl::FailedPreconditionError(absl::StrCat(what, " has the unknown field ", Quote(name),
                                                    " with value ", Show(value),
                                                    ", which may change what is computed"));
}

}  // namespace

absl::Status CheckFields(const Json& object, absl::string_view what, const FieldRules& rules) {
  for (const auto& [name, value] : object.items()) {
    CTX_RETURN_IF_ERROR(CheckField(name, value, what, rules));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> ReadInteger(const Json& object, absl::string_view what,
                                const IntegerField& field) {
  const auto found = object.find(std::string(field.name));
  if (found == object.end() || (found->is_null() && field.fallback.has_value())) {
    if (field.fallback.has_value()) return *field.fallback;
    return absl::InvalidArgumentError(absl::StrCat(what, " lacks ", Quote(field.name)));
  }
  if (!found->is_number_integer()) return WrongType(what, field.name, *found, "an integer");
  // The parser keeps only negative numbers as signed ones.
  const bool fits = found->is_number_unsigned() &&
                    found->get<uint64_t>() >= static_cast<uint64_t>(field.min) &&
                    found->get<uint64_t>() <= static_cast<uint64_t>(field.max);
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat(what, " ", Quote(field.name), " is ",
                                                   Show(*found), "; allowed are ", field.min,
                                                   " .. ", field.max));
  }
  return found->get<int>();
}

absl::StatusOr<bool> ReadBoolean(const Json& object, absl::string_view what,
                                 const BooleanField& field) {
  const auto found = object.find(std::string(field.name));
  if (found == object.end() || (found->is_null() && field.fallback.has_value())) {
    if (field.fallback.has_value()) return *field.fallback;
    return absl::InvalidArgumentError(absl::StrCat(what, " lacks ", Quote(field.name)));
  }
  if (!found->is_boolean()) return WrongType(what, field.name, *found, "true or false");
  return found->get<bool>();
}

absl::StatusOr<std::string> ReadWord(const Json& object, absl::string_view what,
                                     const WordField& field) {
  const Json value = object.value(std::string(field.name), Json(std::string(field.fallback)));
  if (!value.is_string()) return WrongType(what, field.name, value, "a string");
  const std::string word = value.get<std::string>();
  for (absl::string_view computed : field.computed) {
    if (word == computed) return word;
  }
  return NotComputed(what, field.name, value, absl::StrJoin(field.computed, ", "));
}

absl::StatusOr<float> ReadNumber(const Json& object, absl::string_view what,
                                 const NumberField& field) {
  const Json value = object.value(std::string(field.name), Json(field.fallback));
  if (!value.is_number()) return WrongType(what, field.name, value, "a number");
  const double number = value.get<double>();
  // Written so that NaN fails too.
  if (!(number >= field.min && number <= field.max)) {
    return absl::InvalidArgumentError(absl::StrCat(what, " ", Quote(field.name), " is ",
                                                   Show(value), "; allowed are ", field.min, " .. ",
                                                   field.max));
  }
  return static_cast<float>(number);
}

absl::Status WrongType(absl::string_view what, absl::string_view name, const Json& value,
                       absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " ", Quote(name), " is ", Show(value), ", not ", expected));
}

absl::Status NotComputed(absl::string_view what, absl::string_view name, const Json& value,
                         absl::string_view computed) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, " ", Quote(name), " is ", Show(value), "; computed: ", computed));
}

}  // namespace contexture
