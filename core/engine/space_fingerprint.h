#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/engine/engine.h"

namespace contexture {

// What names the space that a model's vectors are in: the fingerprint of its files (weights,
// configuration, pooling, tokenizer; see model_directory.h), the class of its precision and, of
// kInt8, CALIBRATION: StoredCalibration::file_fingerprint. kFloat32 and kFloat32Split are one
// class, which keeps the files' fingerprint; kBfloat16 and kInt8 are one each. INTERNAL: OpenSSL
// fails.
absl::StatusOr<std::string> SpaceFingerprint(absl::string_view files_fingerprint,
                                             Precision precision, absl::string_view calibration);

// Whether FINGERPRINT is of those files, in any precision; in kInt8 with that calibration.
bool IsSpaceOf(absl::string_view fingerprint, absl::string_view files_fingerprint,
               absl::string_view calibration);

}  // namespace contexture
