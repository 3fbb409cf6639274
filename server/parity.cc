#include "server/parity.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "core/base/text_file.h"
#include "core/model/json_fields.h"
#include "server/services/request_plan.h"

namespace contexture {
namespace {

constexpr char kFileName[] = "contexture_parity.json";

absl::Status Mistake(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(kFileName, ": ", what));
}

// The numbers of OBJECT's array NAME; none when it is absent.
template <typename Number>
absl::StatusOr<std::vector<Number>> ReadNumbers(const Json& object, const char* name) {
  std::vector<Number> numbers;
  const auto place = object.find(name);
  if (place == object.end()) return numbers;
  if (!place->is_array()) return Mistake(absl::StrCat("'", name, "' is not an array"));
  for (const Json& value : *place) {
    const bool fits =
        std::is_floating_point_v<Number> ? value.is_number() : value.is_number_unsigned();
    if (!fits) return Mistake(absl::StrCat("'", name, "' has ", Show(value)));
    numbers.push_back(value.get<Number>());
  }
  return numbers;
}

absl::StatusOr<ParityInput> ReadInput(const Json& object) {
  if (!object.is_object()) return Mistake("an input is not an object");
  ParityInput input;
  if (const auto text = object.find("text"); text != object.end()) {
    if (!text->is_string()) return Mistake("a text is not a string");
    input.input.set_text(text->get<std::string>());
  } else {
    CTX_ASSIGN_OR_RETURN(const auto ids, ReadNumbers<uint32_t>(object, "ids"));
    CTX_ASSIGN_OR_RETURN(const auto type_ids, ReadNumbers<uint32_t>(object, "type_ids"));
    input.input.mutable_token_ids()->mutable_ids()->Assign(ids.begin(), ids.end());
    input.input.mutable_token_ids()->mutable_type_ids()->Assign(type_ids.begin(), type_ids.end());
  }
  CTX_ASSIGN_OR_RETURN(input.vector, ReadNumbers<float>(object, "vector"));
  return input;
}

// The vector that ENGINE gives for the ids.
absl::StatusOr<std::vector<float>> Encode(const Engine& engine, Workspace& workspace,
                                          const PlannedInput& input) {
  const EngineInfo& info = engine.info();
  std::vector<float> vector(info.pooling.Size(info.config.hidden_size));
  const OutputSlot slot = {.spec = {.pooling = info.pooling.kind,
                                    .normalize = info.pooling.normalize,
                                    .dimensions = static_cast<int>(vector.size())},
                           .destination = reinterpret_cast<char*>(vector.data())};
  const uint32_t offsets[] = {0, static_cast<uint32_t>(input.ids.size())}, slots[] = {0, 1};
  uint8_t non_finite = 0;
  CTX_RETURN_IF_ERROR(engine.Run({.ids = input.ids, .type_ids = input.type_ids, .offsets = offsets},
                                 {.slots = absl::MakeConstSpan(&slot, 1),
                                  .offsets = slots,
                                  .non_finite = absl::MakeSpan(&non_finite, 1)},
                                 workspace));
  if (non_finite != 0) return absl::InternalError("a vector of the parity file is not finite");
  return vector;
}

void Compare(const std::vector<float>& expected, const std::vector<float>& actual, Parity& parity) {
  double dot = 0, expected_square = 0, actual_square = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double a = expected[i], b = actual[i];
    dot += a * b;
    expected_square += a * a;
    actual_square += b * b;
    parity.max_error = std::max(parity.max_error, std::abs(a - b));
  }
  const double product = std::sqrt(expected_square) * std::sqrt(actual_square);
  parity.min_cosine = std::min(parity.min_cosine, product > 0 ? dot / product : 0.0);
}

}  // namespace

absl::StatusOr<absl::optional<ParityFile>> ReadParityFile(const std::string& directory) {
  const std::string path = (std::filesystem::path(directory) / kFileName).string();
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return absl::optional<ParityFile>();
  const auto size = std::filesystem::file_size(path, error);
  if (error || size > JsonLimits().max_bytes) {
    return Mistake(
        absl::StrCat("it cannot be read or has more than ", JsonLimits().max_bytes, " bytes"));
  }
  const std::optional<std::string> text = ReadTextFile(path);
  if (!text) return Mistake("it cannot be read");
  CTX_ASSIGN_OR_RETURN(const Json object, ParseJsonObject(*text, kFileName));
  ParityFile file;
  CTX_ASSIGN_OR_RETURN(
      file.min_cosine,
      ReadNumber(object, kFileName,
                 {.name = "min_cosine", .min = -1.0, .max = 1.0, .fallback = file.min_cosine}));
  CTX_ASSIGN_OR_RETURN(
      file.max_error,
      ReadNumber(
          object, kFileName,
          {.name = "max_error", .min = 0.0, .max = file.max_error, .fallback = file.max_error}));
  const auto inputs = object.find("inputs");
  if (inputs == object.end() || !inputs->is_array() || inputs->empty()) {
    return Mistake("'inputs' is not an array of at least one input");
  }
  for (const Json& input : *inputs) {
    CTX_ASSIGN_OR_RETURN(ParityInput read, ReadInput(input));
    file.inputs.push_back(std::move(read));
  }
  return absl::optional<ParityFile>(std::move(file));
}

absl::StatusOr<Parity> MeasureParity(const Engine& engine, const ServedModel& model,
                                     const ParityFile& file) {
  const auto workspace = engine.NewWorkspace();
  RequestPlan plan;
  plan.truncation = Truncation::kRight;
  Parity parity;
  for (size_t i = 0; i < file.inputs.size(); ++i) {
    const auto& [input, expected] = file.inputs[i];
    const int size = model.info.pooling.Size(model.info.config.hidden_size);
    if (static_cast<int>(expected.size()) != size) {
      return Mistake(absl::StrFormat("inputs[%d] has a vector of %d elements, the model's have %d",
                                     i, expected.size(), size));
    }
    CTX_ASSIGN_OR_RETURN(const PlannedInput planned,
                         PlanInput(input, absl::StrFormat("inputs[%d]", i), plan, model));
    CTX_ASSIGN_OR_RETURN(const std::vector<float> vector, Encode(engine, *workspace, planned));
    Compare(expected, vector, parity);
  }
  return parity;
}

absl::Status CheckParity(const Parity& parity, const ParityFile& file) {
  if (parity.min_cosine >= file.min_cosine && parity.max_error <= file.max_error) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrFormat(
      "%s: the vectors are not the model's: the least cosine is %.7f and must be %.7f, the largest "
      "error is %.3g and may be %.3g",
      kFileName, parity.min_cosine, file.min_cosine, parity.max_error, file.max_error));
}

}  // namespace contexture
