#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace contexture {

// How the labels of tokens become those of words and of runs of words; as the strategies of
// transformers' TokenClassificationPipeline of these names.
enum class EntityAggregation {
  kNone,     // each token has its best label
  kSimple,   // neighbours of one label are a group; B- begins a new one
  kFirst,    // as kSimple over words, each with the label of its first token
  kAverage,  // likewise, with the best of the mean of its tokens' scores
  kMax,      // likewise, with that of its token of the highest score
};

// A token that is no special one, and its place.
struct LabelledToken {
  uint32_t index = 0;                   // in the sequence
  uint32_t begin = 0, end = 0;          // bytes of the text
  bool continues_word = false;          // it is not the first token of its word
  absl::Span<const float> scores = {};  // [labels], a softmax
};

struct Entity {
  std::string label;  // of a group: without its "B-" or "I-"
  float score = 0.0f;
  uint32_t begin = 0, end = 0;              // bytes
  uint32_t token_begin = 0, token_end = 0;  // of the sequence, end exclusive
};

// The entities of TOKENS, in order; groups of a label "O" are among them. LABELS by id.
std::vector<Entity> AggregateEntities(absl::Span<const LabelledToken> tokens,
                                      absl::Span<const std::string> labels,
                                      EntityAggregation aggregation);

// Whether the token at bytes [BEGIN, END) of TEXT, spelled SPELLING in the vocabulary, is not the
// first of its word, by the pipeline's rule. HAS_PREFIX: the tokenizer marks such tokens ("##").
bool ContinuesWord(absl::string_view text, uint32_t begin, uint32_t end, absl::string_view spelling,
                   bool has_prefix);

}  // namespace contexture
