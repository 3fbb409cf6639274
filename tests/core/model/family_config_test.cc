// What the rows of the families refuse, and values that no golden case shows.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "core/model/config_reader.h"
#include "core/model/json_reader.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kNotComputed = absl::StatusCode::kFailedPrecondition;

const Json kSizes = {{"hidden_size", 32},
                     {"num_hidden_layers", 4},
                     {"num_attention_heads", 4},
                     {"num_key_value_heads", 2},
                     {"head_dim", 8},
                     {"intermediate_size", 48},
                     {"vocab_size", 100},
                     {"max_position_embeddings", 64}};
const Json kEncoderSizes = {{"hidden_size", 32},        {"num_hidden_layers", 4},
                            {"num_attention_heads", 4}, {"intermediate_size", 48},
                            {"vocab_size", 100},        {"max_position_embeddings", 64}};

// The sizes with a family and more fields, which replace those of the same name.
absl::StatusOr<EncoderConfig> Read(const char* model_type, const Json& fields,
                                   const Json& sizes = kSizes) {
  Json json = sizes;
  json["model_type"] = model_type;
  json.update(fields);
  return ReadEncoderConfig(json.dump());
}

TEST(FamilyConfigTest, KeyValueHeadsMustDivideTheHeads) {
  EXPECT_THAT(Read("llama", {{"num_key_value_heads", 3}}),
              StatusIs(kInvalid, AllOf(HasSubstr("4"), HasSubstr("key-value heads 3"))));
  EXPECT_EQ(Read("llama", {{"num_key_value_heads", nullptr}})->attention.num_key_value_heads, 4);
}

TEST(FamilyConfigTest, RotaryHeadsMustBeEven) {
  EXPECT_THAT(Read("qwen3", {{"head_dim", 7}}),
              StatusIs(kInvalid, AllOf(HasSubstr("7 elements"), HasSubstr("rotary"))));
}

TEST(FamilyConfigTest, ScalingsOfRotaryPositionsThatAreNotComputedAreNamed) {
  EXPECT_THAT(Read("llama", {{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}}}),
              StatusIs(kNotComputed, AllOf(HasSubstr("'rope_scaling'"), HasSubstr("\"yarn\""),
                                           HasSubstr("default, linear, ntk, llama3"))));
  EXPECT_THAT(Read("llama", {{"rope_parameters", {{"attention_factor", 2}}}}),
              StatusIs(kNotComputed,
                       AllOf(HasSubstr("'rope_parameters'"), HasSubstr("'attention_factor'"))));
  EXPECT_THAT(Read("llama", {{"rope_scaling", {{"type", "linear"}}}}),
              StatusIs(kInvalid, HasSubstr("'factor' is 0")));
  EXPECT_THAT(Read("llama", {{"rope_scaling", "linear"}}),
              StatusIs(kInvalid, HasSubstr("not an object")));
}

TEST(FamilyConfigTest, BothSpellingsOfRotaryPositionsAreRead) {
  const auto older = Read(
      "llama", {{"rope_theta", 500.0}, {"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}});
  const auto newer = Read(
      "llama",
      {{"rope_parameters", {{"rope_theta", 500.0}, {"rope_type", "linear"}, {"factor", 2.0}}}});
  for (const auto& config : {older, newer}) {
    ASSERT_THAT(config, IsOk());
    EXPECT_EQ(config->position.rotary.theta, 500.0f);
    EXPECT_EQ(config->position.rotary.scaling, RotaryScaling::kLinear);
    EXPECT_EQ(config->position.rotary.factor, 2.0f);
  }
}

TEST(FamilyConfigTest, ScalingBesideRopeParametersIsRefusedAndThetaIsItsFallback) {
  const Json scaling = {{"type", "linear"}, {"factor", 2.0}}, type = {{"rope_type", "default"}};
  EXPECT_THAT(
      Read("llama", {{"rope_parameters", type}, {"rope_scaling", scaling}}),
      StatusIs(kNotComputed, AllOf(HasSubstr("'rope_scaling'"), HasSubstr("linear"),
                                   HasSubstr("beside 'rope_parameters'"), HasSubstr("default"))));
  const auto fallback =
      Read("llama", {{"rope_parameters", type}, {"rope_theta", 500.0}, {"rope_scaling", nullptr}});
  ASSERT_THAT(fallback, IsOk());
  EXPECT_EQ(fallback->position.rotary.theta, 500.0f);
  const auto own =
      Read("llama", {{"rope_parameters", {{"rope_theta", 700.0}}}, {"rope_theta", 500.0}});
  EXPECT_EQ(own->position.rotary.theta, 700.0f);
}

TEST(FamilyConfigTest, RopeParametersBesideThoseOfLayerTypesAreRefused) {
  const Json linear = {{"rope_type", "linear"}, {"factor", 2.0}};
  const Json nested = {{"full_attention", linear}, {"factor", 4.0}};
  const Json theta = {{"rope_theta", 500.0}};
  for (const char* family : {"modernbert", "gemma3_text"}) {
    const Json& sizes = family == std::string("modernbert") ? kEncoderSizes : kSizes;
    EXPECT_THAT(Read(family, {{"rope_parameters", linear}}, sizes),
                StatusIs(kNotComputed, AllOf(HasSubstr("'rope_parameters'"), HasSubstr("factor"))));
    EXPECT_THAT(Read(family, {{"rope_parameters", nested}}, sizes),
                StatusIs(kNotComputed, AllOf(HasSubstr("'rope_parameters'"), HasSubstr("factor"))));
    EXPECT_THAT(Read(family, {{"rope_parameters", theta}}, sizes),
                StatusIs(kNotComputed, AllOf(HasSubstr("'rope_parameters'"), HasSubstr("500"))));
    const auto plain =
        Read(family, {{"rope_parameters", {{"rope_type", "default"}, {"full_attention", linear}}}},
             sizes);
    ASSERT_THAT(plain, IsOk());
    EXPECT_EQ(plain->position.rotary.scaling, RotaryScaling::kLinear);
    EXPECT_EQ(plain->position.local_rotary.scaling, RotaryScaling::kNone);
  }
}

TEST(FamilyConfigTest, ScalingWhereLayersHaveTypesIsNamedByRopeType) {
  EXPECT_THAT(Read("gemma3_text", {{"rope_scaling", {{"type", "linear"}, {"factor", 8.0}}}}),
              StatusIs(kNotComputed, AllOf(HasSubstr("'rope_scaling'"), HasSubstr("rope_type"))));
  const auto scaled =
      Read("gemma3_text", {{"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}}});
  ASSERT_THAT(scaled, IsOk());
  EXPECT_EQ(scaled->position.rotary.factor, 8.0f);
  EXPECT_EQ(scaled->position.local_rotary.scaling, RotaryScaling::kNone);
}

// What DeBERTa's rows refuse.
absl::StatusOr<EncoderConfig> ReadDeberta(const Json& fields) {
  Json all = {{"relative_attention", true}, {"pos_att_type", "c2p|p2c"}};
  all.update(fields);
  return Read("deberta-v2", all, kEncoderSizes);
}

TEST(FamilyConfigTest, DebertaPositionsFollowFromItsFields) {
  const auto plain = ReadDeberta({{"max_relative_positions", -1}, {"position_buckets", -1}});
  ASSERT_THAT(plain, IsOk());
  EXPECT_EQ(plain->attention.disentangled.num_rows, 128);
  EXPECT_EQ(plain->attention.disentangled.num_buckets, 0);
  EXPECT_FLOAT_EQ(plain->attention.scale, 1.0f / std::sqrt(24.0f));
  EXPECT_EQ(plain->position.kind, PositionKind::kLearned);
  const auto buckets = ReadDeberta({{"position_buckets", 16}, {"position_biased_input", false}});
  ASSERT_THAT(buckets, IsOk());
  EXPECT_EQ(buckets->attention.disentangled.num_rows, 32);
  EXPECT_EQ(buckets->attention.disentangled.max_distance, 64);
  EXPECT_EQ(buckets->position.kind, PositionKind::kNone);
}

TEST(FamilyConfigTest, DebertaFieldsThatAreNotComputedAreNamed) {
  const auto refuses = [](const Json& fields, const char* name, const char* value) {
    const absl::Status status = ReadDeberta(fields).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(name), HasSubstr(value)));
  };
  refuses({{"pos_att_type", {"c2p", "p2p"}}}, "'pos_att_type'", "p2p");
  refuses({{"pos_att_type", {"c2p", "c2p"}}}, "'pos_att_type'", "at most once");
  refuses({{"pos_att_type", 3}}, "'pos_att_type'", "3");
  refuses({{"norm_rel_ebd", "batch_norm"}}, "'norm_rel_ebd'", "batch_norm");
  refuses({{"conv_kernel_size", 4}}, "'conv_kernel_size'", "4");
  refuses({{"conv_kernel_size", 3}, {"conv_groups", 5}}, "'conv_groups'", "32");
  refuses({{"conv_kernel_size", 3}, {"conv_act", "mish"}}, "'conv_act'", "mish");
  refuses({{"embedding_size", 16}}, "'embedding_size'", "32");
  refuses({{"position_buckets", 128}}, "'position_buckets'", "64");
  refuses({{"talking_head", true}}, "'talking_head'", "true");
  EXPECT_THAT(Read("deberta", {{"share_att_key", true}}, kEncoderSizes),
              StatusIs(kNotComputed, HasSubstr("'share_att_key'")));
}

TEST(FamilyConfigTest, LayersAlternateAsThePatternOrTheListSays) {
  const auto pattern = Read("modernbert", {{"global_attn_every_n_layers", 3}}, kEncoderSizes);
  ASSERT_THAT(pattern, IsOk());
  EXPECT_THAT(pattern->attention.local, ElementsAre(false, true, true, false));
  EXPECT_EQ(pattern->attention.window, 64);
  const Json types = {"sliding_attention", "full_attention", "full_attention", "full_attention"};
  const auto list = Read("modernbert", {{"layer_types", types}}, kEncoderSizes);
  EXPECT_THAT(list->attention.local, ElementsAre(true, false, false, false));
  EXPECT_THAT(Read("modernbert", {{"layer_types", {"full_attention"}}}, kEncoderSizes),
              StatusIs(kInvalid, AllOf(HasSubstr("1 elements"), HasSubstr("4 layers"))));
  EXPECT_THAT(Read("gemma3_text", {{"layer_types", {"linear", "linear", "linear", "linear"}}}),
              StatusIs(kNotComputed, HasSubstr("\"linear\"")));
}

TEST(FamilyConfigTest, GemmaWithoutAListHasEverySixthLayerWithoutWindow) {
  const auto config = Read("gemma3_text", {{"num_hidden_layers", 7}, {"sliding_window", 9}});
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(config->attention.local, ElementsAre(true, true, true, true, true, false, true));
  EXPECT_EQ(config->attention.window, 8);
  EXPECT_THAT(Read("gemma3_text", {{"attn_logit_softcapping", 50.0}}),
              StatusIs(kNotComputed, HasSubstr("'attn_logit_softcapping'")));
}

TEST(FamilyConfigTest, LayerTypesOfQwenAreCheckedWithoutAWindow) {
  const Json full = {"full_attention", "full_attention", "full_attention", "full_attention"};
  Json mixed = full;
  mixed[2] = "sliding_attention";
  const auto accepted = Read("qwen3", {{"layer_types", full}});
  ASSERT_THAT(accepted, IsOk());
  EXPECT_TRUE(accepted->attention.local.empty());
  EXPECT_THAT(Read("qwen3", {{"layer_types", mixed}}),
              StatusIs(kInvalid, AllOf(HasSubstr("\"sliding_attention\" for layer 2"),
                                       HasSubstr("'use_sliding_window' is false"))));
  EXPECT_THAT(
      Read("qwen2",
           {{"layer_types", mixed}, {"use_sliding_window", true}, {"sliding_window", nullptr}}),
      StatusIs(kInvalid, AllOf(HasSubstr("\"sliding_attention\" for layer 2"),
                               HasSubstr("'sliding_window' is null"))));
  EXPECT_THAT(Read("qwen2", {{"layer_types", {"full_attention"}}}),
              StatusIs(kInvalid, AllOf(HasSubstr("1 elements"), HasSubstr("4 layers"))));
}

TEST(FamilyConfigTest, LongestDistanceOfT5MustExceedAQuarterOfTheBuckets) {
  const Json sizes = {{"d_model", 32}, {"num_layers", 2}, {"num_heads", 4},
                      {"d_kv", 8},     {"d_ff", 48},      {"vocab_size", 100}};
  EXPECT_THAT(Read("t5", {{"relative_attention_max_distance", 8}}, sizes),
              StatusIs(kInvalid, AllOf(HasSubstr("'relative_attention_max_distance' is 8"),
                                       HasSubstr("'relative_attention_num_buckets' 32"))));
  EXPECT_THAT(Read("t5", {{"relative_attention_max_distance", 9}}, sizes), IsOk());
}

TEST(FamilyConfigTest, HeadsTimesTheirSizeAreBounded) {
  EXPECT_THAT(Read("qwen3", {{"num_attention_heads", 16386}}),
              StatusIs(kInvalid,
                       AllOf(HasSubstr("heads 16386 times the head size 8"), HasSubstr("131072"))));
  EXPECT_THAT(Read("qwen3", {{"num_attention_heads", 16384}}), IsOk());
}

TEST(FamilyConfigTest, SizesThatTransformersWouldMakeUpAreRequired) {
  Json sizes = kSizes;
  sizes.erase("head_dim");
  EXPECT_THAT(Read("qwen3", Json::object(), sizes),
              StatusIs(kInvalid, HasSubstr("lacks 'head_dim'")));
  sizes.erase("num_key_value_heads");
  EXPECT_THAT(Read("mistral", Json::object(), sizes),
              StatusIs(kInvalid, HasSubstr("lacks 'num_key_value_")));
}

TEST(FamilyConfigTest, PositionsAfterThePaddingMustRemain) {
  EXPECT_THAT(Read("roberta", {{"max_position_embeddings", 2}}, kEncoderSizes),
              StatusIs(kInvalid, AllOf(HasSubstr("is 2"), HasSubstr("'pad_token_id' 1"))));
  EXPECT_EQ(Read("roberta", {{"pad_token_id", 3}}, kEncoderSizes)->max_length, 60);
  EXPECT_THAT(Read("mpnet", {{"max_position_embeddings", 2}}, kEncoderSizes),
              StatusIs(kInvalid, HasSubstr("is 2")));
}

TEST(FamilyConfigTest, GroupsOfSharedLayersMustDivideTheLayers) {
  EXPECT_THAT(Read("albert", {{"num_hidden_groups", 3}}, kEncoderSizes),
              StatusIs(kInvalid, AllOf(HasSubstr("is 4"), HasSubstr("'num_hidden_groups' 3"))));
}

TEST(FamilyConfigTest, PartsThatAFamilyMayHaveAndAreNotComputedAreNamed) {
  EXPECT_THAT(Read("mpnet", {{"relative_attention_num_buckets", 16}}, kEncoderSizes),
              StatusIs(kNotComputed, HasSubstr("'relative_attention_num_buckets' is 16")));
  EXPECT_THAT(Read("esm", {{"is_folding_model", true}}, kEncoderSizes),
              StatusIs(kNotComputed, HasSubstr("'is_folding_model'")));
  EXPECT_THAT(Read("new", {{"logn_attention_scale", true}}, kEncoderSizes),
              StatusIs(kNotComputed, HasSubstr("'logn_attention_scale'")));
  EXPECT_THAT(Read("bert", {{"auto_map", Json::object()}}, kEncoderSizes),
              StatusIs(kNotComputed, HasSubstr("'auto_map'")));
  EXPECT_THAT(Read("nomic_bert", {{"moe_top_k", 2}}, kEncoderSizes),
              StatusIs(kNotComputed, HasSubstr("'moe_top_k'")));
  EXPECT_THAT(Read("reformer", Json::object(), kEncoderSizes),
              StatusIs(kNotComputed, AllOf(HasSubstr("\"reformer\""), HasSubstr("modernbert"))));
}

}  // namespace
}  // namespace contexture
