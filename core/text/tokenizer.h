#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace contexture {

enum class Truncation { kError, kRight, kLeft };

// Where tokens come from: columns as long as their ids.
struct TokenOrigins {
  std::vector<uint32_t> begins, ends;  // bytes of its text, end exclusive; 0, 0 of special tokens
  std::vector<uint32_t> text_indices;  // 1: the second text of a pair; 0 of special tokens
  std::vector<uint8_t> special;        // 1: the template added it
};

struct Encoding {
  std::vector<uint32_t> ids;
  std::vector<uint32_t> type_ids;  // as long as ids
  uint32_t original_length = 0;    // tokens before truncation, special tokens included
  TokenOrigins origins;            // with EncodeOptions::with_origins, else empty
  bool truncated() const { return original_length != ids.size(); }
};

struct Token {
  uint32_t id = 0;
  std::string text;
  uint32_t begin = 0, end = 0;  // bytes of the input, end exclusive; 0, 0 for special tokens
  bool special = false;
};

struct EncodeOptions {
  int max_length = 0;  // tokens, special tokens included; 0: no limit
  Truncation truncation = Truncation::kError;
  bool with_origins = false;  // takes longer
};

// Makes pairs of one first text, which is tokenized once. Thread safe.
class PairEncoder {
 public:
  virtual ~PairEncoder() = default;
  // As Tokenizer::EncodePair of the first text and SECOND.
  virtual absl::StatusOr<Encoding> Encode(absl::string_view second,
                                          const EncodeOptions& options) const = 0;
};

// Text to token ids as the model's tokenizer.json says, equal to the Hugging Face `tokenizers`
// library. Truncation and padding of the file are ignored: the options rule. Thread safe; nothing
// blocks.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // INVALID_ARGUMENT: text is not UTF-8, is empty, gives no token, or is over max_length with
  // Truncation::kError (both lengths are named); or max_length does not hold the special tokens.
  // INTERNAL: the tokenizer library fails on the text. Special tokens are added and survive
  // truncation. Time and memory grow with the text, not with max_length.
  virtual absl::StatusOr<Encoding> Encode(absl::string_view text,
                                          const EncodeOptions& options) const = 0;
  // A pair, with the type ids of the template. Longest-first truncation. FAILED_PRECONDITION: the
  // tokenizer has no pair template.
  virtual absl::StatusOr<Encoding> EncodePair(absl::string_view first, absl::string_view second,
                                              const EncodeOptions& options) const = 0;
  // FIRST need not outlive the call, the tokenizer must outlive the result. Codes as EncodePair's.
  virtual absl::StatusOr<std::unique_ptr<PairEncoder>> NewPairEncoder(
      absl::string_view first) const = 0;
  // Every token, without a limit; none when the tokenizer drops the whole text. Codes as Encode's.
  virtual absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view text,
                                                      bool add_special_tokens) const = 0;
  // The vocabulary's spelling of a token; empty for an id that it does not have.
  virtual std::string TokenText(uint32_t id) const = 0;
  // The id of a token as the vocabulary spells it; -1: there is none.
  virtual int64_t TokenId(absl::string_view token) const = 0;
  // One more than the largest id, added tokens included.
  virtual uint32_t vocabulary_size() const = 0;
  // The text that tokens stand for, special ones too; empty where the library fails.
  virtual std::string Decode(absl::Span<const uint32_t> ids) const = 0;
  // Whether the vocabulary spells tokens within a word with a prefix of their own, such as "##".
  virtual bool marks_subwords() const = 0;
  // The id of what the vocabulary does not know; -1: there is none.
  virtual int64_t unknown_id() const = 0;
};

// The ids of TEXT with its special tokens, cut to MAX_TOKENS on the right. Codes as Encode's.
absl::StatusOr<std::vector<uint32_t>> EncodeIds(const Tokenizer& tokenizer, absl::string_view text,
                                                int max_tokens);

// Reads a tokenizer.json. MARKERS are texts that stand before others and that a model knows as one
// token: each, or its first word, is a token of its own in texts where the vocabulary has it.
// NOT_FOUND: no such file. INVALID_ARGUMENT: the file is broken.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& path, absl::Span<const std::string> markers = {});

}  // namespace contexture
