#pragma once

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace contexture {

// 64 texts of the kinds that encoders get: words, questions, sentences and paragraphs in English,
// sentences in other languages, code, numbers. Constant.
absl::Span<const absl::string_view> SampleTexts();

}  // namespace contexture
