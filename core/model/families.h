#pragma once

#include "core/model/config_family.h"

namespace contexture {

// The rows of AllFamilies(), each in a file *_family.cc with those that it resembles.
extern const Family kBertFamily;
extern const Family kJinaBertFamily;
extern const Family kRobertaFamily;
extern const Family kRobertaPreLayerNormFamily;
extern const Family kElectraFamily;
extern const Family kErnieFamily;
extern const Family kBertGenerationFamily;
extern const Family kMegatronBertFamily;
extern const Family kXlmRobertaXlFamily;
extern const Family kAlbertFamily;
extern const Family kDistilBertFamily;
extern const Family kMpnetFamily;
extern const Family kEsmFamily;
extern const Family kDebertaV2Family;
extern const Family kDebertaFamily;
extern const Family kModernBertFamily;
extern const Family kNomicBertFamily;
extern const Family kNomicBertGptFamily;
extern const Family kGteFamily;
extern const Family kGteNewFamily;
extern const Family kJinaV3Family;
extern const Family kEuroBertFamily;
extern const Family kLlamaFamily;
extern const Family kMistralFamily;
extern const Family kQwen2Family;
extern const Family kQwen3Family;
extern const Family kGemma3Family;
extern const Family kGpt2Family;
extern const Family kT5Family;
extern const Family kTransformerEncoderFamily;
extern const Family kTransformerEncoderDecoderFamily;

// Fields of positions that RoBERTa's descendants share: position 0 is row pad_token_id + 1 of the
// table. INVALID_ARGUMENT: no row is left.
absl::Status SetOffsetPositions(const Json& json, EncoderConfig& config);
// Position 0 is row 0.
void SetLearnedPositions(EncoderConfig& config);

}  // namespace contexture
