#include "core/model/config_family.h"

namespace contexture {
namespace {

const SizeField kBertSizes[] = {
    {{"hidden_size", kMaxHidden}, [](EncoderConfig& c) -> int& { return c.hidden_size; }},
    {{"num_hidden_layers", kMaxLayers}, [](EncoderConfig& c) -> int& { return c.num_layers; }},
    {{"num_attention_heads", kMaxHidden},
     [](EncoderConfig& c) -> int& { return c.attention.num_heads; }},
    {{"intermediate_size", kMaxIntermediate},
     [](EncoderConfig& c) -> int& { return c.feed_forward.intermediate_size; }},
    {{"vocab_size", kMaxVocabulary}, [](EncoderConfig& c) -> int& { return c.vocabulary_size; }},
    {{"type_vocab_size", kMaxVocabulary, 2},
     [](EncoderConfig& c) -> int& { return c.type_vocabulary_size; }},
    {{"max_position_embeddings", kMaxPositions},
     [](EncoderConfig& c) -> int& { return c.position.num_positions; }},
};
constexpr FixedField kBertFixed[] = {
    {"position_embedding_type", R"(["absolute"])"},
    {"is_decoder", "[false]"},
    {"add_cross_attention", "[false]"},
};
// Of the pooler and of tasks that Google's first releases describe in the file.
constexpr absl::string_view kBertHarmless[] = {
    "directionality",       "pooler_fc_size",       "pooler_num_attention_heads",
    "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
};

absl::Status CompleteBert(const Json& /*json*/, EncoderConfig& config) {
  config.position.kind = PositionKind::kLearned;
  config.position.offset = 0;
  config.max_length = config.position.num_positions;
  config.norm_placement = NormPlacement::kPost;
  config.embedding_norm = true;
  config.final_norm = false;
  return absl::OkStatus();
}

}  // namespace

const Family kBertFamily = {
    .model_type = "bert",
    .sizes = kBertSizes,
    .activation = {"hidden_act", "gelu"},
    .epsilon = {"layer_norm_eps", 1e-12},
    .others = {},
    .fixed = kBertFixed,
    .harmless = kBertHarmless,
    .complete = CompleteBert,
};

}  // namespace contexture
