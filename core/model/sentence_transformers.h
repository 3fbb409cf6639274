#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/model_directory.h"

namespace contexture {

// Readers of the files that sentence-transformers lays beside a model. Each takes the text of one
// file. Errors of all: INVALID_ARGUMENT broken JSON, wrong types or contradictions;
// FAILED_PRECONDITION a module, field or value that this version does not compute, named with its
// value.

// What modules.json lists: a Transformer, a Pooling, any number of Dense and, if `normalize`, a
// Normalize, in this order; a Transformer alone, as of a CrossEncoder; a Transformer (or
// MLMTransformer) and a SpladePooling; or, of late interaction, a Transformer, Dense, and if they
// are there a MultiVectorMask and a Normalize in any order.
struct SentenceModules {
  std::string transformer_path;  // relative to the directory; empty: the directory itself
  std::string pooling_path;
  bool pools = true;  // false: there is a Transformer alone
  std::vector<std::string> dense_paths;
  bool normalize = false;
  std::string normalize_path;
  bool splade = false;  // pooling_path is of a SpladePooling
  bool late_interaction = false;
  std::optional<std::string> mask_path;  // of a MultiVectorMask
};
// INVALID_ARGUMENT also: a path that is absolute or has a component "..".
absl::StatusOr<SentenceModules> ReadSentenceModules(absl::string_view json_text);

// The pooling module's config.json, in the spelling with one flag per mode or with names; the modes
// in the order in which their vectors stand side by side.
// INVALID_ARGUMENT also: a dimension other than HIDDEN_SIZE, no pooling mode.
absl::StatusOr<std::vector<PoolingKind>> ReadPooling(absl::string_view json_text, int hidden_size);

// A SpladePooling module's config.json. INVALID_ARGUMENT also: a dimension other than
// VOCABULARY_SIZE.
absl::StatusOr<SparseConfig> ReadSpladePooling(absl::string_view json_text, int vocabulary_size);

// A Dense module's config.json. INVALID_ARGUMENT also: another number of features than IN_FEATURES,
// what stands before it. With OF_TOKENS it is of token vectors, else of pooled ones.
absl::StatusOr<DenseConfig> ReadDense(absl::string_view json_text, int in_features,
                                      bool of_tokens = false);

// The max_seq_length of sentence_bert_config.json; none when the file leaves it open.
// INVALID_ARGUMENT also: more than MAX_LENGTH, the most tokens the model takes.
// Its other fields are checked against USE, but for kLateInteraction (late_interaction_reader.h).
enum class TransformerUse {
  kPooled,
  kSplade,  // a masked language model before a SpladePooling
  kLateInteraction,
};
absl::StatusOr<std::optional<int>> ReadMaxSequenceLength(
    absl::string_view json_text, int max_length, TransformerUse use = TransformerUse::kPooled);

// The model_max_length of tokenizer_config.json, but at most MAX_LENGTH, which is also the default:
// what sentence-transformers takes when sentence_bert_config.json is silent.
absl::StatusOr<int> ReadTokenizerMaxLength(absl::string_view json_text, int max_length);

// What config_sentence_transformers.json says of a CrossEncoder.
struct CrossEncoderConfig {
  bool is_cross_encoder = false;  // its model_type
  std::optional<ScoreFunction> rank_function;
};
absl::StatusOr<CrossEncoderConfig> ReadCrossEncoderConfig(absl::string_view json_text);

// config_sentence_transformers.json. INVALID_ARGUMENT also: a default prompt that is not there.
absl::StatusOr<PromptConfig> ReadPrompts(absl::string_view json_text);

}  // namespace contexture
