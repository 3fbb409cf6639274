#include "core/text/tokenizer.h"

#include <utility>

#include "core/base/status_macros.h"

namespace contexture {

absl::StatusOr<std::vector<uint32_t>> EncodeIds(const Tokenizer& tokenizer, absl::string_view text,
                                                int max_tokens) {
  CTX_ASSIGN_OR_RETURN(
      Encoding encoding,
      tokenizer.Encode(text, {.max_length = max_tokens, .truncation = Truncation::kRight}));
  return std::move(encoding.ids);
}

}  // namespace contexture
