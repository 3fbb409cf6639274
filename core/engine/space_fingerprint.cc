#include "core/engine/space_fingerprint.h"

#include <vector>

#include "core/model/fingerprint.h"

namespace contexture {

absl::StatusOr<std::string> SpaceFingerprint(absl::string_view files_fingerprint,
                                             Precision precision, absl::string_view calibration) {
  if (precision == Precision::kFloat32 || precision == Precision::kFloat32Split) {
    return std::string(files_fingerprint);
  }
  std::vector<NamedContents> parts = {{"files", files_fingerprint}, {"precision", Name(precision)}};
  // Without a file the scales follow from the model's own files.
  if (precision == Precision::kInt8 && !calibration.empty()) {
    parts.push_back({"calibration", calibration});
  }
  return Fingerprint(parts);
}

bool IsSpaceOf(absl::string_view fingerprint, absl::string_view files_fingerprint,
               absl::string_view calibration) {
  for (Precision precision : {Precision::kFloat32, Precision::kBfloat16, Precision::kInt8}) {
    const absl::StatusOr<std::string> space =
        SpaceFingerprint(files_fingerprint, precision, calibration);
    if (space.ok() && *space == fingerprint) return true;
  }
  return false;
}

}  // namespace contexture
