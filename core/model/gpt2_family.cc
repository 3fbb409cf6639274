// GPT-2 (Radford et al. 2019), whose build GPT-3 has too.

#include "core/model/families.h"
#include "core/model/standard_fields.h"

namespace contexture {
namespace {

const SizeField kGpt2Sizes[] = {{{"n_embd", kMaxHidden}, sizes::Hidden},
                                {{"n_layer", kMaxLayers}, sizes::Layers},
                                {{"n_head", kMaxHidden}, sizes::Heads},
                                {{"n_inner", kMaxIntermediate, 0}, sizes::Intermediate},
                                {{"n_positions", kMaxPositions}, sizes::Positions},
                                kVocabularyField};
constexpr FixedField kGpt2Fixed[] = {{"scale_attn_weights", "[true]"},
                                     {"scale_attn_by_inverse_layer_idx", "[false]"},
                                     {"add_cross_attention", "[false]"}};
constexpr absl::string_view kGpt2Harmless[] = {"n_ctx",
                                               "attn_pdrop",
                                               "embd_pdrop",
                                               "resid_pdrop",
                                               "reorder_and_upcast_attn",
                                               "summary_activation",
                                               "summary_first_dropout",
                                               "summary_proj_to_labels",
                                               "summary_type",
                                               "summary_use_proj"};
constexpr TensorLayout kGpt2Layouts[] = {{
    .anchor = "wte.weight",
    .token_embedding = "wte.weight",
    .position_embedding = "wpe.weight",
    .final_norm = "ln_f",
    .layer = {.prefix = "h.#.",
              .query_key_value = "attn.c_attn",
              .attention_output = "attn.c_proj",
              .attention_norm = "ln_1",
              .up = "mlp.c_fc",
              .down = "mlp.c_proj",
              .output_norm = "ln_2"},
    .transposed = true,
}};
constexpr absl::string_view kGpt2Prefixes[] = {"", "transformer."};
constexpr absl::string_view kGpt2Unused[] = {"lm_head.", "score.", "classifier.", ".attn.bias",
                                             ".attn.masked_bias"};
constexpr HeadLayout kGpt2Heads[] = {heads::kScoreSequence, heads::kToken};
constexpr TensorNames kGpt2Tensors = {kGpt2Layouts, kGpt2Prefixes, kGpt2Unused, kGpt2Heads};
constexpr absl::string_view kGpt2Types[] = {"gpt2"};

absl::Status CompleteGpt2(const Json& /*json*/, EncoderConfig& config) {
  SetLearnedPositions(config);
  if (config.feed_forward.intermediate_size == 0) {
    config.feed_forward.intermediate_size = 4 * config.hidden_size;
  }
  config.embedding.norm = false;
  config.norm_placement = NormPlacement::kPre;
  config.final_norm = true;
  config.attention.causal = true;
  return absl::OkStatus();
}

}  // namespace

const Family kGpt2Family = {
    .model_types = kGpt2Types,
    .sizes = kGpt2Sizes,
    .activation = {"activation_function", "gelu_new"},
    .epsilon = {"layer_norm_epsilon", 1e-5},
    .fixed = kGpt2Fixed,
    .harmless = kGpt2Harmless,
    .complete = CompleteGpt2,
    .tensors = &kGpt2Tensors,
};

}  // namespace contexture
