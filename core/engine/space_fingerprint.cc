#include "core/engine/space_fingerprint.h"

#include "core/model/fingerprint.h"

namespace contexture {

absl::StatusOr<std::string> SpaceFingerprint(absl::string_view files_fingerprint,
                                             Precision precision) {
  if (precision == Precision::kFloat32 || precision == Precision::kFloat32Split) {
    return std::string(files_fingerprint);
  }
  const NamedContents parts[] = {{"files", files_fingerprint}, {"precision", Name(precision)}};
  return Fingerprint(parts);
}

bool IsSpaceOf(absl::string_view fingerprint, absl::string_view files_fingerprint) {
  for (Precision precision : {Precision::kFloat32, Precision::kBfloat16, Precision::kInt8}) {
    const absl::StatusOr<std::string> space = SpaceFingerprint(files_fingerprint, precision);
    if (space.ok() && *space == fingerprint) return true;
  }
  return false;
}

}  // namespace contexture
