#include "core/model/config_reader.h"

#include <string>

#include "core/model/json_reader.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kNotComputed = absl::StatusCode::kFailedPrecondition;

Json TinyConfig() { return Json::parse(test_support::TinyBertConfig({})); }

// The tiny config with FIELD set to VALUE.
absl::StatusOr<EncoderConfig> ReadWith(const std::string& field, const Json& value) {
  Json config = TinyConfig();
  config[field] = value;
  return ReadEncoderConfig(config.dump());
}
absl::StatusOr<EncoderConfig> ReadWithout(const std::string& field) {
  Json config = TinyConfig();
  config.erase(field);
  return ReadEncoderConfig(config.dump());
}

TEST(ReadEncoderConfigTest, BertIsReadCompletely) {
  // The fields and values of a published 6-layer model.
  const absl::StatusOr<EncoderConfig> config = ReadEncoderConfig(R"({
    "_name_or_path": "x/y", "architectures": ["BertModel"], "attention_probs_dropout_prob": 0.1,
    "gradient_checkpointing": false, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
    "hidden_size": 384, "initializer_range": 0.02, "intermediate_size": 1536,
    "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "bert",
    "num_attention_heads": 12, "num_hidden_layers": 6, "pad_token_id": 0,
    "position_embedding_type": "absolute", "transformers_version": "4.8.2", "type_vocab_size": 2,
    "use_cache": true, "vocab_size": 30522})");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->model_type, "bert");
  EXPECT_EQ(config->hidden_size, 384);
  EXPECT_EQ(config->num_layers, 6);
  EXPECT_EQ(config->vocabulary_size, 30522);
  EXPECT_EQ(config->type_vocabulary_size, 2);
  EXPECT_EQ(config->embedding.scale, 1.0f);
  EXPECT_TRUE(config->embedding.norm);
  EXPECT_EQ(config->max_length, 512);
  EXPECT_EQ(config->norm_epsilon, 1e-12f);
  EXPECT_EQ(config->norm_placement, NormPlacement::kPost);
  EXPECT_FALSE(config->final_norm);
  EXPECT_EQ(config->position.kind, PositionKind::kLearned);
  EXPECT_EQ(config->position.num_positions, 512);
  EXPECT_EQ(config->position.offset, 0);
  EXPECT_EQ(config->attention.num_heads, 12);
  EXPECT_EQ(config->attention.head_size, 32);
  EXPECT_FLOAT_EQ(config->attention.scale, 0.17677669f);
  EXPECT_FALSE(config->attention.causal);
  EXPECT_EQ(config->feed_forward.intermediate_size, 1536);
  EXPECT_EQ(config->feed_forward.activation, Activation::kGeluErf);
}

TEST(ReadEncoderConfigTest, ActivationsAreReadByTheirNames) {
  const auto activation = [](const char* name) {
    const absl::StatusOr<EncoderConfig> config = ReadWith("hidden_act", name);
    EXPECT_THAT(config, IsOk()) << name;
    return config.ok() ? config->feed_forward.activation : Activation::kGeluErf;
  };
  EXPECT_EQ(activation("gelu"), Activation::kGeluErf);
  EXPECT_EQ(activation("gelu_new"), Activation::kGeluTanh);
  EXPECT_EQ(activation("gelu_pytorch_tanh"), Activation::kGeluTanh);
  EXPECT_EQ(activation("relu"), Activation::kRelu);
  EXPECT_EQ(activation("silu"), Activation::kSilu);
  EXPECT_EQ(activation("swish"), Activation::kSilu);
}

TEST(ReadEncoderConfigTest, DefaultsOfTheFamilyApply) {
  EXPECT_EQ(ReadWithout("hidden_act")->feed_forward.activation, Activation::kGeluErf);
  EXPECT_EQ(ReadWithout("layer_norm_eps")->norm_epsilon, 1e-12f);
  EXPECT_EQ(ReadWithout("type_vocab_size")->type_vocabulary_size, 2);
}

TEST(ReadEncoderConfigTest, RequiredFieldsAreNamedWhenAbsent) {
  for (const char* field :
       {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
        "vocab_size", "max_position_embeddings", "model_type"}) {
    EXPECT_THAT(ReadWithout(field), StatusIs(kInvalid, HasSubstr(std::string("lacks '") + field)));
  }
}

TEST(ReadEncoderConfigTest, UnknownFieldsAreRefusedWithTheirValue) {
  EXPECT_THAT(ReadWith("rope_theta", 10000),
              StatusIs(kNotComputed, AllOf(HasSubstr("'rope_theta'"), HasSubstr("10000"))));
  EXPECT_THAT(ReadWith("auto_map", Json{{"AutoModel", "modeling.Own"}}),
              StatusIs(kNotComputed, AllOf(HasSubstr("'auto_map'"), HasSubstr("modeling.Own"))));
  EXPECT_THAT(ReadWith("embedding_size", nullptr), StatusIs(kNotComputed, HasSubstr("null")));
}

TEST(ReadEncoderConfigTest, HarmlessFieldsAreIgnoredWhateverTheirValue) {
  for (const char* field : {"torch_dtype", "dtype", "id2label", "label2id", "classifier_dropout",
                            "use_cache", "pooler_type", "num_beams", "pad_token_id"}) {
    EXPECT_THAT(ReadWith(field, "anything"), IsOk()) << field;
    EXPECT_THAT(ReadWith(field, nullptr), IsOk()) << field;
  }
}

TEST(ReadEncoderConfigTest, ValuesThatAreNotComputedAreNamed) {
  const auto refused = [](const char* field, const Json& value, const char* shown) {
    EXPECT_THAT(
        ReadWith(field, value),
        StatusIs(kNotComputed, AllOf(HasSubstr(std::string("'") + field + "'"), HasSubstr(shown))));
  };
  refused("hidden_act", "swish2", "\"swish2\"; computed: gelu");
  refused("position_embedding_type", "relative_key", "\"relative_key\"; computed: \"absolute\"");
  refused("is_decoder", true, "true; computed: false");
  refused("add_cross_attention", true, "true");
  refused("is_encoder_decoder", true, "true");
  refused("pruned_heads", Json{{"0", {1, 2}}}, "[1,2]");
  refused("model_type", "whisper", "\"whisper\"; computed: bert, roberta");
  EXPECT_THAT(ReadWith("position_embedding_type", "absolute"), IsOk());
  EXPECT_THAT(ReadWith("is_decoder", false), IsOk());
  EXPECT_THAT(ReadWith("pruned_heads", Json::object()), IsOk());
}

TEST(ReadEncoderConfigTest, WrongTypesAreRefused) {
  EXPECT_THAT(ReadWith("hidden_size", "32"),
              StatusIs(kInvalid, HasSubstr("'hidden_size' is \"32\", not an integer")));
  EXPECT_THAT(ReadWith("hidden_size", 32.0), StatusIs(kInvalid, HasSubstr("not an integer")));
  EXPECT_THAT(ReadWith("hidden_size", nullptr), StatusIs(kInvalid, HasSubstr("not an integer")));
  EXPECT_THAT(ReadWith("hidden_act", 3), StatusIs(kInvalid, HasSubstr("3, not a string")));
  EXPECT_THAT(ReadWith("layer_norm_eps", "x"), StatusIs(kInvalid, HasSubstr("not a number")));
  EXPECT_THAT(ReadWith("model_type", Json::array()), StatusIs(kInvalid, HasSubstr("not a string")));
}

TEST(ReadEncoderConfigTest, ImpossibleSizesAreRefusedWithTheLimit) {
  for (const char* field :
       {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
        "vocab_size", "max_position_embeddings", "type_vocab_size"}) {
    for (const Json& value : {Json(0), Json(-4), Json(2147483648u), Json(UINT64_MAX)}) {
      EXPECT_THAT(
          ReadWith(field, value),
          StatusIs(kInvalid, AllOf(HasSubstr(std::string("'") + field + "' is " + value.dump()),
                                   HasSubstr("allowed are 1 .. "))));
    }
  }
  EXPECT_THAT(ReadWith("hidden_size", 32769), StatusIs(kInvalid, HasSubstr("1 .. 32768")));
}

TEST(ReadEncoderConfigTest, EpsilonOutsideItsRangeIsRefused) {
  for (const Json& value : {Json(0), Json(0.0), Json(-1e-5), Json(2), Json(1e-300)}) {
    EXPECT_THAT(ReadWith("layer_norm_eps", value),
                StatusIs(kInvalid, HasSubstr("'layer_norm_eps' is " + value.dump())));
  }
}

TEST(ReadEncoderConfigTest, HiddenSizeThatHeadsDoNotDivideIsRefusedWithBothValues) {
  EXPECT_THAT(ReadWith("num_attention_heads", 5),
              StatusIs(kInvalid, AllOf(HasSubstr("32"), HasSubstr("heads 5"))));
}

TEST(ReadEncoderConfigTest, BrokenTextIsRefused) {
  EXPECT_THAT(ReadEncoderConfig("{"), StatusIs(kInvalid, HasSubstr("config.json is not valid")));
  EXPECT_THAT(ReadEncoderConfig("[]"), StatusIs(kInvalid, HasSubstr("not an object")));
  EXPECT_THAT(ReadEncoderConfig(std::string((16 << 20) + 1, ' ')),
              StatusIs(kInvalid, HasSubstr("at most 16777216")));
}

}  // namespace
}  // namespace contexture
