#include "client/cli/model_calibrate.h"

#include <filesystem>
#include <memory>

#include "core/base/status_macros.h"
#include "core/engine/calibration.h"
#include "core/model/model_directory.h"
#include "core/text/tokenizer.h"

namespace contexture::cli {

absl::StatusOr<Json> CalibrateModel(const CalibrateOptions& options) {
  CTX_ASSIGN_OR_RETURN(const ModelDirectory model, LoadModelDirectory(options.directory));
  EngineOptions engine_options;
  engine_options.calibration_file = options.calibration;
  std::unique_ptr<Tokenizer> tokenizer;
  if (!model.tokenizer_path.empty()) {
    CTX_ASSIGN_OR_RETURN(tokenizer, LoadTokenizer(model.tokenizer_path));
    engine_options.encode_text = [&tokenizer](absl::string_view text, int max_tokens) {
      return EncodeIds(*tokenizer, text, max_tokens);
    };
  }
  CTX_ASSIGN_OR_RETURN(const StoredCalibration calibration,
                       MeasureCalibration(model, engine_options));
  const std::string path =
      options.output.empty()
          ? (std::filesystem::path(options.directory) / kCalibrationFileName).string()
          : options.output;
  CTX_RETURN_IF_ERROR(WriteCalibration(calibration, path));
  Json report;
  report["file"] = path;
  report["measured_on"] = calibration.source;
  report["layers"] = calibration.ranges.size();
  report["fingerprint"] = calibration.fingerprint;
  return report;
}

}  // namespace contexture::cli
