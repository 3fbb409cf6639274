#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/model/head_config.h"
#include "core/model/json_reader.h"

namespace contexture {

// A row of a family's table of heads: what transformers' class of this task computes and how it
// calls the tensors. In names '@' stands for the prefix of the encoder's tensors; ".weight" and
// ".bias" are left out.
struct HeadLayout {
  HeadTask task = HeadTask::kSequenceClassification;
  HeadRows rows = HeadRows::kFirst;
  absl::string_view dense = "";  // empty: none
  HeadActivation activation = HeadActivation::kTanh;
  bool model_activation = false;  // the activation is that of the model's feed-forward instead
  absl::string_view norm = "";    // empty: none
  absl::string_view output = "classifier";
  absl::string_view bias = "";  // another full name of the output's bias than OUTPUT.bias
  bool output_bias = true;
  // Reads what the family's config.json says of the head. Codes: those of ReadEncoderConfig.
  absl::Status (*complete)(const Json&, HeadConfig&) = nullptr;
};

// The heads that several families have.
namespace heads {

// classifier.dense, tanh, classifier.out_proj: RoBERTa's.
inline constexpr HeadLayout kRobertaSequence = {.dense = "classifier.dense",
                                                .output = "classifier.out_proj"};
// The pooler, which is part of the encoder, and a linear layer: BERT's.
inline constexpr HeadLayout kPoolerSequence = {.dense = "@pooler.dense"};
// A linear layer on the last token: what transformers gives every decoder.
inline constexpr HeadLayout kScoreSequence = {
    .rows = HeadRows::kLast, .output = "score", .output_bias = false};
inline constexpr HeadLayout kScoreToken = {
    .task = HeadTask::kTokenClassification, .rows = HeadRows::kEach, .output = "score"};
// A linear layer on each token.
inline constexpr HeadLayout kToken = {.task = HeadTask::kTokenClassification,
                                      .rows = HeadRows::kEach};
// lm_head.dense, gelu, lm_head.layer_norm, and the embedding as decoder: RoBERTa's.
inline constexpr HeadLayout kRobertaMaskedLm = {.task = HeadTask::kMaskedLm,
                                                .rows = HeadRows::kEach,
                                                .dense = "lm_head.dense",
                                                .activation = HeadActivation::kGeluErf,
                                                .norm = "lm_head.layer_norm",
                                                .output = "lm_head.decoder",
                                                .bias = "lm_head.bias"};
// cls.predictions, and the embedding as decoder: BERT's.
inline constexpr HeadLayout kBertMaskedLm = {.task = HeadTask::kMaskedLm,
                                             .rows = HeadRows::kEach,
                                             .dense = "cls.predictions.transform.dense",
                                             .model_activation = true,
                                             .norm = "cls.predictions.transform.LayerNorm",
                                             .output = "cls.predictions.decoder",
                                             .bias = "cls.predictions.bias"};

// What the original ColBERT saves with any encoder: a linear layer on each token.
inline constexpr HeadLayout kColbert = {.task = HeadTask::kLateInteraction,
                                        .rows = HeadRows::kChosen,
                                        .output = "linear",
                                        .output_bias = false};

}  // namespace heads
}  // namespace contexture
