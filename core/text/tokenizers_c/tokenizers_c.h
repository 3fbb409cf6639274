#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The Hugging Face `tokenizers` crate for C and C++, as src/lib.rs exports it.
//
// Threads: a tokenizer is immutable once loaded; any number of threads may encode with it at once.
// An encoding and an error belong to one thread at a time. No call blocks or starts a thread.
// Ownership: what a function returns by pointer is the caller's, to be given to the matching _free,
// which accepts NULL. Nothing keeps a pointer to an argument after the call. Failure: a function
// that takes an `error` returns NULL on failure and fills it; on success it leaves it alone. A
// panic in the crate is such a failure too: none unwinds into the caller. Structs and enums mirror
// src/lib.rs field by field.

#ifdef __cplusplus
extern "C" {
#endif

typedef struct contexture_tokenizer contexture_tokenizer;
typedef struct contexture_encoding contexture_encoding;
typedef struct contexture_prepared contexture_prepared;

typedef enum contexture_tokenizer_code {
  CONTEXTURE_TOKENIZER_INVALID_FILE = 1,  // load: not a tokenizer.json that can be served
  CONTEXTURE_TOKENIZER_INVALID_UTF8 = 2,  // encode: input `input`, at byte `position`
  CONTEXTURE_TOKENIZER_NO_ROOM = 3,  // encode: `position` special tokens alone exceed max_length
  CONTEXTURE_TOKENIZER_FAILED = 4,   // encode: the crate cannot tokenize this text
  CONTEXTURE_TOKENIZER_PANICKED = 5  // any: a defect of the crate
} contexture_tokenizer_code;

typedef struct contexture_tokenizer_error {
  int32_t code;     // a contexture_tokenizer_code
  uint32_t input;   // 0: the first text, 1: the second
  size_t position;  // bytes, or a count of tokens
  char* message;  // zero-terminated UTF-8 without any text of the user; for contexture_message_free
} contexture_tokenizer_error;

typedef struct contexture_tokenizer_info {
  uint32_t vocabulary_size;        // one more than the largest id, added tokens included
  uint32_t single_special_tokens;  // added to a single text
  uint32_t pair_special_tokens;    // added to a pair
  bool has_pair_template;
  bool marks_subwords;  // tokens within a word have a prefix of their own, such as "##"
  int64_t unknown_id;   // of what the vocabulary does not know; -1: there is none
} contexture_tokenizer_info;

typedef struct contexture_text {
  const char* data;  // NULL only as the absent second text
  size_t size;       // bytes
} contexture_text;

typedef enum contexture_truncation {
  CONTEXTURE_TRUNCATION_NONE = 0,  // max_length is not looked at
  CONTEXTURE_TRUNCATION_RIGHT = 1,
  CONTEXTURE_TRUNCATION_LEFT = 2
} contexture_truncation;

typedef struct contexture_encode_request {
  contexture_text first;
  contexture_text second;  // data NULL: a single text. A pair needs has_pair_template.
  size_t max_length;       // tokens, special tokens included
  int32_t truncation;  // a contexture_truncation; a pair loses the tokens of its longest text first
  bool add_special_tokens;  // those of the template
  bool with_offsets;        // false: quicker, and contexture_encoding_token gives nothing of use
  // In place of `first`, tokenized before by the same tokenizer; without offsets. Or NULL.
  const contexture_prepared* prepared;
} contexture_encode_request;

// Valid as long as the encoding.
typedef struct contexture_encoding_view {
  const uint32_t* ids;       // [length]
  const uint32_t* type_ids;  // [length]
  size_t length;
  size_t original_length;  // tokens before truncation, special tokens included
} contexture_encoding_view;

// Valid as long as the encoding.
typedef struct contexture_token {
  contexture_text text;  // as the vocabulary spells it, not zero-terminated
  size_t begin, end;     // bytes of its input, end exclusive; 0, 0 when the template added it
  bool special;          // the template added it
  uint32_t input;        // 1: of the second text
} contexture_token;

// Reads the bytes of a tokenizer.json. Its truncation and padding are dropped.
contexture_tokenizer* contexture_tokenizer_load(const char* json, size_t size,
                                                contexture_tokenizer_error* error);
void contexture_tokenizer_free(contexture_tokenizer* tokenizer);
contexture_tokenizer_info contexture_tokenizer_get_info(const contexture_tokenizer* tokenizer);

// Right after load, before anybody encodes: MARKER, or its first word, becomes a special token
// where the vocabulary has it and text would not become it. False: it failed, and fills `error`.
bool contexture_tokenizer_add_marker(contexture_tokenizer* tokenizer, contexture_text marker,
                                     contexture_tokenizer_error* error);

// The id of a token as the vocabulary spells it; -1: there is none.
int64_t contexture_tokenizer_id(const contexture_tokenizer* tokenizer, contexture_text token);

// The spelling of token ID for contexture_message_free, zero-terminated UTF-8; NULL: no such token.
char* contexture_tokenizer_token(const contexture_tokenizer* tokenizer, uint32_t id);

// The tokens of a text that is to be the first of several pairs. Immutable.
contexture_prepared* contexture_tokenizer_prepare(const contexture_tokenizer* tokenizer,
                                                  contexture_text text,
                                                  contexture_tokenizer_error* error);
void contexture_prepared_free(contexture_prepared* prepared);

// The text of IDS, which are not null and LENGTH many, special tokens too, for
// contexture_message_free; NULL: the crate fails.
char* contexture_tokenizer_decode(const contexture_tokenizer* tokenizer, const uint32_t* ids,
                                  size_t length);

contexture_encoding* contexture_tokenizer_encode(const contexture_tokenizer* tokenizer,
                                                 const contexture_encode_request* request,
                                                 contexture_tokenizer_error* error);
void contexture_encoding_free(contexture_encoding* encoding);
contexture_encoding_view contexture_encoding_get(const contexture_encoding* encoding);
// The token at INDEX, which is below length.
contexture_token contexture_encoding_token(const contexture_encoding* encoding, size_t index);

void contexture_message_free(char* message);

#ifdef __cplusplus
}  // extern "C"
#endif
