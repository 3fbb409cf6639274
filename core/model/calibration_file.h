#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/activation_ranges.h"
#include "core/model/encoder_config.h"

namespace contexture {

// The name under which a model directory holds its ranges.
inline constexpr char kCalibrationFileName[] = "contexture_calibration.json";

// Activation ranges of a model, as a file keeps them: a JSON object of `version` (1),
// `fingerprint`, `source`, and `layers`, each with the arrays of LayerRanges under their names.
struct StoredCalibration {
  std::string fingerprint;  // ModelDirectory::fingerprint of what was measured
  std::string source;       // what it was measured on, in words
  ActivationRanges ranges;
  // Of the file that they come from, see CalibrationFingerprint; no part of it. Empty: of none.
  std::string file_fingerprint = "";
};

// The SHA-256 of a file of CONTENTS that calibrates a model, in 64 hex digits. INTERNAL: OpenSSL
// fails.
absl::StatusOr<std::string> CalibrationFingerprint(absl::string_view contents);

// Reads the ranges of a model of CONFIG and FINGERPRINT. NOT_FOUND: there is no such file.
// FAILED_PRECONDITION: it is of another model or version. INVALID_ARGUMENT: it is broken or its
// sizes are not the model's. All name the file and both values.
absl::StatusOr<StoredCalibration> ReadCalibration(const std::string& path,
                                                  const EncoderConfig& config,
                                                  absl::string_view fingerprint);

// Replaces the file at once, so that nobody reads half of it. INVALID_ARGUMENT: a range is not a
// finite number. PERMISSION_DENIED: it cannot be written.
absl::Status WriteCalibration(const StoredCalibration& calibration, const std::string& path);

}  // namespace contexture
