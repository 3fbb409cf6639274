// BERT under other names or with the norms elsewhere: ERNIE (Sun et al. 2020), BertGeneration
// (Rothe et al. 2020), Megatron-BERT (Shoeybi et al. 2019), XLM-RoBERTa-XL (Goyal et al. 2021).

#include "core/base/status_macros.h"
#include "core/model/families.h"
#include "core/model/standard_fields.h"

namespace contexture {
namespace {

const SizeField kSizes[] = {kHiddenField,     kLayersField,    kHeadsField, kIntermediateField,
                            kVocabularyField, kPositionsField, kTypesField};
const SizeField kSizesWithoutTypes[] = {kHiddenField,       kLayersField,     kHeadsField,
                                        kIntermediateField, kVocabularyField, kPositionsField};
constexpr FixedField kFixed[] = {{"position_embedding_type", R"(["absolute"])"},
                                 {"is_decoder", "[false]"},
                                 {"add_cross_attention", "[false]"},
                                 {"use_task_id", "[false]"}};

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
constexpr TensorLayout MegatronLayout() {
  TensorLayout layout = kLayout;
  layout.layer.attention_norm = "attention.ln";
  layout.layer.output_norm = "ln";
  layout.final_norm = "encoder.ln";
  return layout;
}
constexpr TensorLayout XlmRobertaXlLayout() {
  TensorLayout layout = kLayout;
  layout.layer.attention_norm = "attention.self_attn_layer_norm";
  layout.layer.output_norm = "LayerNorm";
  layout.final_norm = "encoder.LayerNorm";
  return layout;
}
constexpr TensorLayout kLayouts[] = {kLayout};
constexpr TensorLayout kMegatronLayouts[] = {MegatronLayout()};
constexpr TensorLayout kXlmRobertaXlLayouts[] = {XlmRobertaXlLayout()};
constexpr absl::string_view kErniePrefixes[] = {"", "ernie."};
constexpr absl::string_view kBertPrefixes[] = {"", "bert."};
constexpr absl::string_view kRobertaPrefixes[] = {"", "roberta."};
constexpr absl::string_view kUnused[] = {"embeddings.position_ids",
                                         "embeddings.token_type_ids",
                                         "pooler.",
                                         "cls.",
                                         "lm_head.",
                                         "classifier.",
                                         "qa_outputs."};
constexpr HeadLayout kBertHeads[] = {heads::kPoolerSequence, heads::kToken, heads::kBertMaskedLm};
constexpr HeadLayout kRobertaHeads[] = {heads::kRobertaSequence, heads::kToken,
                                        heads::kRobertaMaskedLm};
constexpr TensorNames kErnieTensors = {kLayouts, kErniePrefixes, kUnused, kBertHeads};
constexpr TensorNames kBertGenerationTensors = {kLayouts, kBertPrefixes, kUnused};
constexpr TensorNames kMegatronTensors = {kMegatronLayouts, kBertPrefixes, kUnused, kBertHeads};
constexpr TensorNames kXlmRobertaXlTensors = {kXlmRobertaXlLayouts, kRobertaPrefixes, kUnused,
                                              kRobertaHeads};
constexpr absl::string_view kErnieTypes[] = {"ernie"};
constexpr absl::string_view kBertGenerationTypes[] = {"bert-generation"};
constexpr absl::string_view kMegatronTypes[] = {"megatron-bert"};
constexpr absl::string_view kXlmRobertaXlTypes[] = {"xlm-roberta-xl"};
// Of task types, which `use_task_id` would add to the embedding.
constexpr absl::string_view kErnieHarmless[] = {"task_type_vocab_size"};

absl::Status CompletePostNorm(const Json& /*json*/, EncoderConfig& config) {
  SetLearnedPositions(config);
  return absl::OkStatus();
}

// The only norm of the embedding is that of the first layer.
void SetPreNorm(EncoderConfig& config) {
  config.embedding.norm = false;
  config.norm_placement = NormPlacement::kPre;
  config.final_norm = true;
}

absl::Status CompleteMegatron(const Json& /*json*/, EncoderConfig& config) {
  SetLearnedPositions(config);
  SetPreNorm(config);
  return absl::OkStatus();
}

absl::Status CompleteXlmRobertaXl(const Json& json, EncoderConfig& config) {
  SetPreNorm(config);
  return SetOffsetPositions(json, config);
}

constexpr absl::string_view kXlmRobertaXlOthers[] = {"pad_token_id"};

}  // namespace

const Family kErnieFamily = {
    .model_types = kErnieTypes,
    .sizes = kSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .fixed = kFixed,
    .harmless = kErnieHarmless,
    .complete = CompletePostNorm,
    .tensors = &kErnieTensors,
};

const Family kBertGenerationFamily = {
    .model_types = kBertGenerationTypes,
    .sizes = kSizesWithoutTypes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .fixed = kFixed,
    .complete = CompletePostNorm,
    .tensors = &kBertGenerationTensors,
};

const Family kMegatronBertFamily = {
    .model_types = kMegatronTypes,
    .sizes = kSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .fixed = kFixed,
    .complete = CompleteMegatron,
    .tensors = &kMegatronTensors,
};

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
