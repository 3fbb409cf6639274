#include "server/metrics/build_info.h"

#include "absl/strings/str_cat.h"

namespace contexture {

BuildInfo CurrentBuild() {
#if defined(__clang__)
  const std::string compiler =
      absl::StrCat("clang ", __clang_major__, ".", __clang_minor__, ".", __clang_patchlevel__);
#else
  const std::string compiler =
      absl::StrCat("gcc ", __GNUC__, ".", __GNUC_MINOR__, ".", __GNUC_PATCHLEVEL__);
#endif
  return {.version = CONTEXTURE_VERSION, .onednn = CONTEXTURE_ONEDNN_VERSION, .compiler = compiler};
}

}  // namespace contexture
