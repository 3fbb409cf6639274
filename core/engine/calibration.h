#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/engine/engine.h"
#include "core/model/calibration_file.h"
#include "core/model/model_directory.h"

namespace contexture {

// What the int8 scales of a model are made from: the largest activations of its float encoder over
//   1. options.calibration_file, whose first character tells what it is: '[' one JSON array of
//   token
//      ids a line, '{' what WriteCalibration wrote, else one text a line;
//   2. what kCalibrationFileName in the directory was measured on;
//   3. the built-in sample of texts, where there is options.encode_text and it knows their words;
//   4. pseudo-random ids.
// INVALID_ARGUMENT names the file, the line and both values. FAILED_PRECONDITION: a stored file is
// of another model; texts without a tokenizer. NOT_FOUND: the calibration file.
absl::StatusOr<StoredCalibration> FindCalibration(const ModelDirectory& directory,
                                                  const EngineOptions& options);

// The file_fingerprint of what FindCalibration would find with this calibration_file; measures
// nothing and does not look at what the file holds. NOT_FOUND, INVALID_ARGUMENT: the file is not
// there, or a directory.
absl::StatusOr<std::string> FindCalibrationFingerprint(const ModelDirectory& directory,
                                                       const std::string& calibration_file);

// The same without 2, to be stored. FAILED_PRECONDITION also: the model has a part that int8 does
// not compute.
absl::StatusOr<StoredCalibration> MeasureCalibration(const ModelDirectory& directory,
                                                     const EngineOptions& options);

}  // namespace contexture
