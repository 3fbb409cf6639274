#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tests/support/safetensors_writer.h"

namespace contexture::test_support {

// A BERT that is small enough to compute by hand in a test. The same options give the same bytes.
struct TinyBertOptions {
  uint32_t seed = 1;
  int hidden_size = 32;
  int num_layers = 2;
  int num_heads = 4;
  int intermediate_size = 64;
  int vocabulary_size = 64;  // at least 64: the size of the tokenizer's vocabulary
  int num_positions = 40;
  int type_vocabulary_size = 2;
  std::string hidden_act = "gelu";
  std::string weight_prefix = "";  // "bert.": as a model with a head is saved

  // modules.json, 1_Pooling/config.json and sentence_bert_config.json, or none of the three.
  bool sentence_transformers = true;
  std::string pooling = "mean_tokens";  // "cls_token", "mean_tokens", "max_tokens", "lasttoken"
  bool normalize = true;
  int max_seq_length = 24;

  // tokenizer.json: lower-casing WordPiece with [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, the
  // letters a-z at 5, ##a-##z at 31, then "hello" 57, "world" 58, "the" 59, "of" 60, "and" 61, "."
  // 62, "," 63.
  bool tokenizer = true;
};

// The weights: uniform, wide enough that inputs, positions and layers all show in the result.
std::vector<StoredTensor> TinyBertTensors(const TinyBertOptions& options);
// The text of config.json.
std::string TinyBertConfig(const TinyBertOptions& options);

// Writes the model into DIRECTORY, which is made when absent. INTERNAL: it cannot be written.
absl::Status WriteTinyBert(absl::string_view directory, const TinyBertOptions& options = {});

}  // namespace contexture::test_support
