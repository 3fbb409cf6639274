// BERT with the norms elsewhere: XLM-RoBERTa-XL (Goyal et al. 2021).

#include "core/base/status_macros.h"
#include "core/model/families.h"
#include "core/model/standard_fields.h"

namespace contexture {
namespace {

const SizeField kSizes[] = {kHiddenField,     kLayersField,    kHeadsField, kIntermediateField,
                            kVocabularyField, kPositionsField, kTypesField};
constexpr FixedField kFixed[] = {{"position_embedding_type", R"(["absolute"])"},
                                 {"is_decoder", "[false]"},
                                 {"add_cross_attention", "[false]"}};

constexpr TensorLayout kLayout = {
    .anchor = "embeddings.word_embeddings.weight",
    .token_embedding = "embeddings.word_embeddings.weight",
    .position_embedding = "embeddings.position_embeddings.weight",
    .type_embedding = "embeddings.token_type_embeddings.weight",
    .embedding_norm = "embeddings.LayerNorm",
    .layer = {.prefix = "encoder.layer.#.",
              .query = "attention.self.query",
              .key = "attention.self.key",
              .value = "attention.self.value",
              .attention_output = "attention.output.dense",
              .attention_norm = "attention.output.LayerNorm",
              .up = "intermediate.dense",
              .down = "output.dense",
              .output_norm = "output.LayerNorm"},
};
constexpr TensorLayout XlmRobertaXlLayout() {
  TensorLayout layout = kLayout;
  layout.layer.attention_norm = "attention.self_attn_layer_norm";
  layout.layer.output_norm = "LayerNorm";
  layout.final_norm = "encoder.LayerNorm";
  return layout;
}
constexpr TensorLayout kXlmRobertaXlLayouts[] = {XlmRobertaXlLayout()};
constexpr absl::string_view kRobertaPrefixes[] = {"", "roberta."};
constexpr absl::string_view kUnused[] = {"embeddings.position_ids",
                                         "embeddings.token_type_ids",
                                         "pooler.",
                                         "cls.",
                                         "lm_head.",
                                         "classifier.",
                                         "qa_outputs."};
constexpr TensorNames kXlmRobertaXlTensors = {kXlmRobertaXlLayouts, kRobertaPrefixes, kUnused};
constexpr absl::string_view kXlmRobertaXlTypes[] = {"xlm-roberta-xl"};

absl::Status CompleteXlmRobertaXl(const Json& json, EncoderConfig& config) {
  // The only norm of the embedding is that of the first layer.
  config.embedding.norm = false;
  config.norm_placement = NormPlacement::kPre;
  config.final_norm = true;
  return SetOffsetPositions(json, config);
}

constexpr absl::string_view kXlmRobertaXlOthers[] = {"pad_token_id"};

}  // namespace

const Family kXlmRobertaXlFamily = {
    .model_types = kXlmRobertaXlTypes,
    .sizes = kSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-5},
    .others = kXlmRobertaXlOthers,
    .fixed = kFixed,
    .complete = CompleteXlmRobertaXl,
    .tensors = &kXlmRobertaXlTensors,
};

}  // namespace contexture
