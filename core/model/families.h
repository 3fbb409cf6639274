#pragma once

#include "core/model/config_family.h"

namespace contexture {

// The rows of AllFamilies(), each in a file *_family.cc with those that it resembles.
extern const Family kBertFamily;
extern const Family kJinaBertFamily;
extern const Family kRobertaFamily;
extern const Family kRobertaPreLayerNormFamily;
extern const Family kElectraFamily;
extern const Family kAlbertFamily;
extern const Family kDistilBertFamily;
extern const Family kMpnetFamily;
extern const Family kEsmFamily;
extern const Family kTransformerEncoderFamily;

// Fields of positions that RoBERTa's descendants share: position 0 is row pad_token_id + 1 of the
// table. INVALID_ARGUMENT: no row is left.
absl::Status SetOffsetPositions(const Json& json, EncoderConfig& config);
// Position 0 is row 0.
void SetLearnedPositions(EncoderConfig& config);

}  // namespace contexture
