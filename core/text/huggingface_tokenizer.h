#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/text/tokenizer.h"
#include "core/text/tokenizers_c/tokenizers_c.h"

namespace contexture {

// A tokenizer.json run by the Hugging Face `tokenizers` library itself. Thread safe: the library's
// tokenizer is immutable, and every call has its own result.
class HuggingFaceTokenizer : public Tokenizer {
 public:
  // Takes the contents of a tokenizer.json. INVALID_ARGUMENT: the library cannot read it, or it
  // would fail on texts: the unknown token or a template's special token is not in the vocabulary.
  // MARKERS: as LoadTokenizer's.
  static absl::StatusOr<std::unique_ptr<HuggingFaceTokenizer>> FromJson(
      absl::string_view json, absl::Span<const std::string> markers = {});

  absl::StatusOr<Encoding> Encode(absl::string_view text,
                                  const EncodeOptions& options) const override;
  absl::StatusOr<Encoding> EncodePair(absl::string_view first, absl::string_view second,
                                      const EncodeOptions& options) const override;
  absl::StatusOr<std::unique_ptr<PairEncoder>> NewPairEncoder(
      absl::string_view first) const override;
  absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view text,
                                              bool add_special_tokens) const override;
  std::string TokenText(uint32_t id) const override;
  std::string Decode(absl::Span<const uint32_t> ids) const override;
  bool marks_subwords() const override { return info_.marks_subwords; }
  int64_t unknown_id() const override { return info_.unknown_id; }
  int64_t TokenId(absl::string_view token) const override;
  uint32_t vocabulary_size() const override { return info_.vocabulary_size; }

 private:
  class PreparedPair;
  struct FreePrepared {
    void operator()(contexture_prepared* prepared) const { contexture_prepared_free(prepared); }
  };
  struct FreeTokenizer {
    void operator()(contexture_tokenizer* tokenizer) const { contexture_tokenizer_free(tokenizer); }
  };
  struct FreeEncoding {
    void operator()(contexture_encoding* encoding) const { contexture_encoding_free(encoding); }
  };
  using EncodingHandle = std::unique_ptr<contexture_encoding, FreeEncoding>;

  explicit HuggingFaceTokenizer(contexture_tokenizer* tokenizer)
      : tokenizer_(tokenizer), info_(contexture_tokenizer_get_info(tokenizer)) {}

  absl::Status CheckPairs() const;
  // Runs the library. INVALID_ARGUMENT: a text is not UTF-8, or max_length does not hold the
  // special tokens. INTERNAL: the library fails on the text.
  absl::StatusOr<EncodingHandle> Run(const contexture_encode_request& request) const;
  absl::StatusOr<Encoding> RunWithOptions(contexture_encode_request request,
                                          const EncodeOptions& options) const;

  std::unique_ptr<contexture_tokenizer, FreeTokenizer> tokenizer_;
  contexture_tokenizer_info info_;
};

}  // namespace contexture
