#pragma once

#include <string>
#include <vector>

namespace contexture {

// Which side of late interaction a text is; kNone: neither, as sentence-transformers' encode.
enum class InputRole { kNone, kQuery, kDocument };

// Queries shorter than `length` tokens are filled up with a token whose vectors are scored as the
// others' (Khattab and Zaharia 2020, 3.2: query augmentation).
struct QueryExpansion {
  int length = 0;        // special tokens and the prompt's included; 0: none
  bool fixed = true;     // longer queries are cut to it, or refused
  bool attended = true;  // false: the query's own tokens do not attend to the added ones
  std::string token;     // as the vocabulary spells it; empty: the mask token, else the end of text
};

// How a late-interaction model takes texts, and scores its vectors. Its projection is the head of
// HeadTask::kLateInteraction.
struct LateInteractionConfig {
  int query_length = 0;     // most tokens; 0: as any text. Without an expansion that is fixed.
  int document_length = 0;  // likewise
  QueryExpansion expansion;
  // Tokens of the vocabulary whose vectors are not scored, and of which side.
  std::vector<std::string> skiplist;
  bool skips_query = false;
  bool skips_document = true;
  bool normalize = true;  // L2, each vector
  bool mean = false;      // the mean over the query's tokens, not the sum
  // Texts before queries and documents that the model knows as one token.
  std::vector<std::string> markers;
};

}  // namespace contexture
