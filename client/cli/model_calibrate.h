#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/json.h"

namespace contexture::cli {

struct CalibrateOptions {
  std::string directory;
  std::string calibration;  // as EngineOptions::calibration_file
  std::string output;       // empty: in the directory, where the server looks for it
};

// Measures what the int8 scales of a model are made from and stores it. Says where, and what it was
// measured on. The codes of LoadModelDirectory, MeasureCalibration and WriteCalibration.
absl::StatusOr<Json> CalibrateModel(const CalibrateOptions& options);

}  // namespace contexture::cli
