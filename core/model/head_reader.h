#pragma once

#include "absl/status/status.h"
#include "core/model/config_family.h"

namespace contexture {

// What 'architectures' calls a model that the original ColBERT saved.
inline constexpr absl::string_view kColbertArchitecture = "HF_ColBERT";

// Sets CONFIG.heads from config.json: the classes that 'architectures' names and FAMILY has a row
// for, with their labels. The rest of CONFIG is there. INVALID_ARGUMENT: labels that are not
// numbered 0 .. n - 1, or that 'num_labels' or 'label2id' contradicts. FAILED_PRECONDITION: a
// problem type, pooling or activation that is not computed.
absl::Status ReadHeads(const Json& json, const Family& family, EncoderConfig& config);

// The function that the class PATH of torch computes ("torch.nn.modules.activation.Sigmoid"); WHAT
// and FIELD name it. FAILED_PRECONDITION: another than a sigmoid or none.
absl::StatusOr<ScoreFunction> ReadRankFunction(const Json& path, absl::string_view what,
                                               absl::string_view field);

// Codes as above: the activation that NAME stands for in config.json.
absl::StatusOr<HeadActivation> ReadHeadActivation(const Json& json, absl::string_view field,
                                                  absl::string_view fallback);

}  // namespace contexture
