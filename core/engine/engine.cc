#include "core/engine/engine.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace contexture {
namespace {

constexpr std::pair<Precision, absl::string_view> kPrecisionNames[] = {
    {Precision::kFloat32, "f32"},
    {Precision::kFloat32Split, "f32-split"},
    {Precision::kBfloat16, "bf16"},
    {Precision::kInt8, "int8"},
};

}  // namespace

absl::string_view Name(Precision precision) {
  for (const auto& [value, name] : kPrecisionNames) {
    if (value == precision) return name;
  }
  return "?";
}

absl::StatusOr<Precision> ParsePrecision(absl::string_view name) {
  for (const auto& [value, known] : kPrecisionNames) {
    if (known == name) return value;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown precision \"", name, "\": use f32, f32-split, bf16 or int8"));
}

absl::Status Engine::Inspect(const PackedBatch&, absl::Span<const InspectItem>, Workspace&) const {
  return absl::FailedPreconditionError("this engine shows no intermediate results");
}

}  // namespace contexture
