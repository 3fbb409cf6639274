#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/late_interaction.h"
#include "core/model/model_directory.h"

namespace contexture {

// Readers of what lies beside a late-interaction model. Codes: as those of sentence_transformers.h.

// What config_sentence_transformers.json says of one.
struct MultiVectorConfig {
  std::string model_type;  // "MultiVectorEncoder", or PyLate's "ColBERT"
  LateInteractionConfig late_interaction;
  PromptConfig prompts;  // PyLate's prefixes are the prompts "query" and "document"
};
absl::StatusOr<MultiVectorConfig> ReadMultiVectorConfig(absl::string_view json_text);

// The sentence_bert_config.json beside it: lengths and expansion go to CONFIG, in place of what it
// has.
absl::Status ReadMultiVectorTransformer(absl::string_view json_text, LateInteractionConfig& config);

// A MultiVectorMask module's config.json.
absl::Status ReadMultiVectorMask(absl::string_view json_text, LateInteractionConfig& config);

// A Normalize module's config.json. FAILED_PRECONDITION: it is not of token vectors.
absl::Status CheckTokenNormalize(absl::string_view json_text);

// artifact.metadata of the original ColBERT; PROMPTS get its markers.
struct ColbertMetadata {
  int vector_size = 0;
  LateInteractionConfig late_interaction;
  PromptConfig prompts;
};
absl::StatusOr<ColbertMetadata> ReadColbertMetadata(absl::string_view json_text);

// FAILED_PRECONDITION: CONFIG has a decoder; or the added tokens of a query would lie where no
// token that they attend to is in the window of CONFIG. INVALID_ARGUMENT: there are more than the
// model takes.
absl::Status CheckExpansion(const LateInteractionConfig& late_interaction,
                            const EncoderConfig& config);

}  // namespace contexture
