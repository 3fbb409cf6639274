#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace contexture::cli {

// The bytes before the data of a NumPy .npy file, format 1.0, as numpy.save writes them. `descr` is
// NumPy's name of the element type: "<f4", "<f2", "|i1". At most 4 dimensions.
std::string NpyHeader(absl::string_view descr, absl::Span<const int64_t> shape);

// Writes `header` and `data` to `path`, which appears whole or not at all. INTERNAL: it cannot be
// written.
absl::Status WriteWholeFile(const std::string& path, absl::string_view header,
                            absl::string_view data);

}  // namespace contexture::cli
