#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace contexture::cli {

// Whether `text` is UTF-8 as Unicode defines it: no overlong forms, surrogates or values above
// U+10FFFF. Anything else cannot be a protobuf string.
bool IsUtf8(absl::string_view text);

// The first `max_characters` code points of UTF-8 text, with control characters as spaces and "..."
// where something was cut: fit for one line of a terminal.
std::string OneLine(absl::string_view text, size_t max_characters);

// Code points of UTF-8 text.
size_t CountCharacters(absl::string_view text);

// `text` behind as many spaces as make it `width` code points.
std::string PadLeft(absl::string_view text, size_t width);

}  // namespace contexture::cli
