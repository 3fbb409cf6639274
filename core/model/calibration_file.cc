#include "core/model/calibration_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/text_file.h"
#include "core/model/fingerprint.h"
#include "core/model/json_reader.h"

namespace contexture {
namespace {

constexpr int kVersion = 1;
constexpr size_t kMaxSourceBytes = 200;  // it goes into logs and answers
// A float takes some 20 bytes: models of 2 million columns in all their layers.
constexpr JsonLimits kLimits = {
    .max_bytes = size_t{64} << 20, .max_depth = 8, .max_values = size_t{1} << 22};

struct RangePart {
  const char* name;
  std::vector<float> LayerRanges::*values;
  size_t size;
};

std::vector<RangePart> Parts(const EncoderConfig& config) {
  const size_t hidden = config.hidden_size, queries = config.attention.query_size();
  return {{"input", &LayerRanges::input, hidden},
          {"context", &LayerRanges::context, queries},
          {"feed_forward_input", &LayerRanges::feed_forward_input, hidden}};
}

// Reads one file; messages begin with its path.
class Reader {
 public:
  Reader(const std::string& path, const EncoderConfig& config) : path_(path), config_(config) {}

  absl::StatusOr<StoredCalibration> Read(absl::string_view fingerprint) const {
    const std::optional<std::string> text = ReadTextFile(path_);
    if (!text) return absl::NotFoundError(absl::StrCat("cannot read ", path_));
    CTX_ASSIGN_OR_RETURN(const Json file, ParseJsonObject(*text, path_, kLimits));
    CTX_RETURN_IF_ERROR(CheckVersion(file));
    StoredCalibration stored;
    CTX_ASSIGN_OR_RETURN(stored.fingerprint, Word(file, "fingerprint"));
    if (stored.fingerprint != fingerprint) {
      return absl::FailedPreconditionError(absl::StrCat(
          path_, " is of a model with the fingerprint ", Quote(stored.fingerprint),
          ", the model's is ", Quote(fingerprint), ": calibrate again, or remove the file"));
    }
    CTX_ASSIGN_OR_RETURN(stored.source, Word(file, "source"));
    if (stored.source.size() > kMaxSourceBytes) {
      return Broken(absl::StrCat("'source' has ", stored.source.size(), " bytes, at most ",
                                 kMaxSourceBytes, " are allowed"));
    }
    CTX_ASSIGN_OR_RETURN(stored.ranges, Layers(file));
    CTX_ASSIGN_OR_RETURN(stored.file_fingerprint, CalibrationFingerprint(*text));
    return stored;
  }

 private:
  absl::Status Broken(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": ", what));
  }

  absl::Status CheckVersion(const Json& file) const {
    const auto version = file.find("version");
    if (version == file.end()) return Broken("has no 'version'");
    if (*version == kVersion) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": 'version' is ", Show(*version), ", ", kVersion, " is read"));
  }

  absl::StatusOr<std::string> Word(const Json& file, const char* name) const {
    const auto place = file.find(name);
    if (place != file.end() && place->is_string()) return place->get<std::string>();
    return Broken(absl::StrCat("'", name, "' is not a string"));
  }

  absl::StatusOr<ActivationRanges> Layers(const Json& file) const {
    const auto layers = file.find("layers");
    if (layers == file.end() || !layers->is_array()) return Broken("'layers' is not an array");
    const size_t count = config_.num_layer_weights;
    if (layers->size() != count) {
      return Broken(absl::StrCat("has ", layers->size(), " layers, the model has ", count));
    }
    ActivationRanges ranges(count);
    for (size_t i = 0; i < count; ++i) {
      for (const RangePart& part : Parts(config_)) {
        const std::string what = absl::StrCat("'", part.name, "' of layer ", i);
        CTX_ASSIGN_OR_RETURN(ranges[i].*part.values, Columns((*layers)[i], part, what));
      }
    }
    return ranges;
  }

  absl::StatusOr<std::vector<float>> Columns(const Json& layer, const RangePart& part,
                                             absl::string_view what) const {
    if (!layer.is_object() || !layer.contains(part.name) || !layer[part.name].is_array()) {
      return Broken(absl::StrCat(what, " is not an array"));
    }
    const Json& columns = layer[part.name];
    if (columns.size() != part.size) {
      return Broken(
          absl::StrCat(what, " has ", columns.size(), " columns, the model's has ", part.size));
    }
    std::vector<float> values;
    for (const Json& column : columns) {
      const double value = column.is_number() ? column.get<double>() : -1.0;
      if (!(value >= 0 && value <= std::numeric_limits<float>::max())) {
        return Broken(absl::StrCat(what, " has ", Show(column), ", not a magnitude"));
      }
      values.push_back(static_cast<float>(value));
    }
    return values;
  }

  const std::string& path_;
  const EncoderConfig& config_;
};

absl::Status CannotWrite(const std::string& path) {
  return absl::PermissionDeniedError(absl::StrCat("cannot write ", path));
}

}  // namespace

absl::StatusOr<std::string> CalibrationFingerprint(absl::string_view contents) {
  const NamedContents files[] = {{kCalibrationFileName, contents}};
  return Fingerprint(files);
}

absl::StatusOr<StoredCalibration> ReadCalibration(const std::string& path,
                                                  const EncoderConfig& config,
                                                  absl::string_view fingerprint) {
  return Reader(path, config).Read(fingerprint);
}

absl::Status WriteCalibration(const StoredCalibration& calibration, const std::string& path) {
  Json layers = Json::array();
  for (const LayerRanges& layer : calibration.ranges) {
    for (const auto* values : {&layer.input, &layer.context, &layer.feed_forward_input}) {
      if (std::all_of(values->begin(), values->end(), [](float x) { return std::isfinite(x); })) {
        continue;
      }
      return absl::InvalidArgumentError(absl::StrCat(
          "layer ", layers.size(), " has activations that are not finite: nothing is stored"));
    }
    layers.push_back({{"input", layer.input},
                      {"context", layer.context},
                      {"feed_forward_input", layer.feed_forward_input}});
  }
  const Json file = {{"version", kVersion},
                     {"fingerprint", calibration.fingerprint},
                     {"source", calibration.source.substr(0, kMaxSourceBytes)},
                     {"layers", std::move(layers)}};
  const std::string unfinished = path + ".part";
  {
    std::ofstream out(unfinished, std::ios::binary | std::ios::trunc);
    out << file.dump(-1, ' ', false, Json::error_handler_t::ignore) << '\n';
    out.close();
    if (!out) return CannotWrite(unfinished);
  }
  std::error_code error;
  std::filesystem::rename(unfinished, path, error);
  return error ? CannotWrite(path) : absl::OkStatus();
}

}  // namespace contexture
