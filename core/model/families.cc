#include "core/model/families.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace contexture {

absl::Span<const Family* const> AllFamilies() {
  static const Family* const kFamilies[] = {
      &kJinaBertFamily,
      &kBertFamily,
      &kRobertaFamily,
      &kRobertaPreLayerNormFamily,
      &kElectraFamily,
      &kErnieFamily,
      &kBertGenerationFamily,
      &kMegatronBertFamily,
      &kXlmRobertaXlFamily,
      &kAlbertFamily,
      &kDistilBertFamily,
      &kMpnetFamily,
      &kEsmFamily,
      &kDebertaV2Family,
      &kDebertaFamily,
      &kModernBertFamily,
      &kNomicBertGptFamily,
      &kNomicBertFamily,
      &kGteFamily,
      &kGteNewFamily,
      &kJinaV3Family,
      &kEuroBertFamily,
      &kLlamaFamily,
      &kMistralFamily,
      &kQwen2Family,
      &kQwen3Family,
      &kGemma3Family,
      &kGpt2Family,
      &kT5Family,
      &kTransformerEncoderFamily,
      &kTransformerEncoderDecoderFamily,
  };
  return kFamilies;
}

absl::Status SetOffsetPositions(const Json& json, EncoderConfig& config) {
  CTX_ASSIGN_OR_RETURN(const int padding,
                       ReadInteger(json, kConfigFile, {"pad_token_id", kMaxVocabulary, 1, 0}));
  PositionConfig& position = config.position;
  position.kind = PositionKind::kLearned;
  position.offset = padding + 1;
  if (position.num_positions <= position.offset) {
    return absl::InvalidArgumentError(
        absl::StrCat(kConfigFile, " 'max_position_embeddings' is ", position.num_positions,
                     "; positions start after 'pad_token_id' ", padding, ", so that none is left"));
  }
  position.num_positions -= position.offset;
  config.max_length = position.num_positions;
  return absl::OkStatus();
}

void SetLearnedPositions(EncoderConfig& config) {
  config.position.kind = PositionKind::kLearned;
  config.max_length = config.position.num_positions;
}

}  // namespace contexture
