#include "core/model/sentence_transformers.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
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

std::string Module(absl::string_view type, absl::string_view path) {
  return absl::StrCat(R"({"idx": 0, "name": "0", "path": ")", path, R"(", "type": ")", type,
                      R"("})");
}
std::string Old(absl::string_view kind, absl::string_view path) {
  return Module(absl::StrCat("sentence_transformers.models.", kind), path);
}

TEST(ReadSentenceModulesTest, OldSpellingIsRead) {
  const auto modules = ReadSentenceModules(absl::StrCat("[", Old("Transformer", ""), ",",
                                                        Old("Pooling", "1_Pooling"), ",",
                                                        Old("Normalize", "2_Normalize"), "]"));
  ASSERT_THAT(modules, IsOk());
  EXPECT_EQ(modules->transformer_path, "");
  EXPECT_EQ(modules->pooling_path, "1_Pooling");
  EXPECT_TRUE(modules->normalize);
}

TEST(ReadSentenceModulesTest, NewSpellingIsRead) {
  const auto modules = ReadSentenceModules(absl::StrCat(
      "[", Module("sentence_transformers.base.modules.transformer.Transformer", "0_T"), ",",
      Module("sentence_transformers.sentence_transformer.modules.pooling.Pooling", "a/b"), "]"));
  ASSERT_THAT(modules, IsOk());
  EXPECT_EQ(modules->transformer_path, "0_T");
  EXPECT_EQ(modules->pooling_path, "a/b");
  EXPECT_FALSE(modules->normalize);
}

TEST(ReadSentenceModulesTest, DenseModulesFollowThePooling) {
  const auto modules = ReadSentenceModules(
      absl::StrCat("[", Old("Transformer", ""), ",", Old("Pooling", "1"), ",", Old("Dense", "2"),
                   ",", Module("sentence_transformers.base.modules.dense.Dense", "3"), ",",
                   Old("Normalize", "4"), "]"));
  ASSERT_THAT(modules, IsOk());
  EXPECT_THAT(modules->dense_paths, ElementsAre("2", "3"));
  EXPECT_TRUE(modules->normalize);
}

TEST(ReadSentenceModulesTest, OtherModulesAreRefusedByName) {
  for (const char* kind : {"LSTM", "WordEmbeddings", "CNN", "WeightedLayerPooling"}) {
    EXPECT_THAT(ReadSentenceModules(absl::StrCat("[", Old("Transformer", ""), ",",
                                                 Old("Pooling", "1"), ",", Old(kind, "2"), "]")),
                StatusIs(kNotComputed, HasSubstr(absl::StrCat("models.", kind))));
  }
}

TEST(ReadSentenceModulesTest, OwnCodeOfAModelIsRefused) {
  EXPECT_THAT(ReadSentenceModules(absl::StrCat("[", Module("custom_st.Transformer", ""), "]")),
              StatusIs(kNotComputed, HasSubstr("custom_st.Transformer")));
}

TEST(ReadSentenceModulesTest, OtherOrdersAreRefused) {
  const std::string transformer = Old("Transformer", ""), pooling = Old("Pooling", "1"),
                    normalize = Old("Normalize", "2");
  for (const std::string& list :
       {std::string(), absl::StrCat(pooling, ",", transformer),
        absl::StrCat(transformer, ",", normalize, ",", pooling),
        absl::StrCat(transformer, ",", pooling, ",", normalize, ",", Old("Dense", "3")),
        absl::StrCat(transformer, ",", pooling, ",", normalize, ",", normalize)}) {
    EXPECT_THAT(ReadSentenceModules(absl::StrCat("[", list, "]")),
                StatusIs(kNotComputed, HasSubstr("modules.json lists [")));
  }
}

TEST(ReadSentenceModulesTest, ATransformerAloneDoesNotPool) {
  const auto modules = ReadSentenceModules(absl::StrCat("[", Old("Transformer", "0"), "]"));
  ASSERT_THAT(modules, IsOk());
  EXPECT_FALSE(modules->pools);
  EXPECT_EQ(modules->transformer_path, "0");
}

TEST(ReadCrossEncoderConfigTest, TheModelTypeAndItsActivationCount) {
  const auto sigmoid = ReadCrossEncoderConfig(
      R"({"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.activation.Sigmoid"})");
  ASSERT_THAT(sigmoid, IsOk());
  EXPECT_TRUE(sigmoid->is_cross_encoder);
  EXPECT_EQ(sigmoid->rank_function, ScoreFunction::kSigmoid);
  EXPECT_FALSE(
      ReadCrossEncoderConfig(R"({"model_type": "SentenceTransformer"})")->is_cross_encoder);
  EXPECT_THAT(
      ReadCrossEncoderConfig(R"({"model_type": "CrossEncoder", "activation_fn": "torch.nn.ReLU"})"),
      StatusIs(kNotComputed, AllOf(HasSubstr("activation_fn"), HasSubstr("torch.nn.ReLU"))));
}

TEST(ReadSentenceModulesTest, PathsThatLeadOutAreRefused) {
  for (const char* path : {"..", "../x", "a/../../x", "a/.."}) {
    EXPECT_THAT(
        ReadSentenceModules(absl::StrCat("[", Old("Transformer", path), "]")),
        StatusIs(kInvalid, AllOf(HasSubstr(absl::StrCat("'", path, "'")), HasSubstr("leads out"))));
  }
  for (const char* path : {"/etc", "/", "a\\u0000b"}) {
    EXPECT_THAT(ReadSentenceModules(absl::StrCat("[", Old("Transformer", path), "]")),
                StatusIs(kInvalid, HasSubstr("not relative")));
  }
  EXPECT_THAT(ReadSentenceModules(
                  absl::StrCat("[", Old("Transformer", ""), ",", Old("Pooling", "a..b"), "]")),
              IsOk());
}

TEST(ReadSentenceModulesTest, BrokenFilesAreRefused) {
  EXPECT_THAT(ReadSentenceModules("["), StatusIs(kInvalid, HasSubstr("modules.json is not valid")));
  EXPECT_THAT(ReadSentenceModules("{}"), StatusIs(kInvalid, HasSubstr("not an array")));
  EXPECT_THAT(ReadSentenceModules("[3]"), StatusIs(kInvalid, HasSubstr("not an object")));
  EXPECT_THAT(ReadSentenceModules(R"([{"path": ""}])"),
              StatusIs(kInvalid, HasSubstr("without 'type'")));
  EXPECT_THAT(ReadSentenceModules(R"([{"type": "a.b"}])"),
              StatusIs(kInvalid, HasSubstr("without 'path'")));
  EXPECT_THAT(ReadSentenceModules(R"([{"path": 1, "type": "a.b"}])"),
              StatusIs(kInvalid, HasSubstr("'path' is 1, not a string")));
  EXPECT_THAT(ReadSentenceModules(R"([{"path": "", "type": "a.b", "x": 7}])"),
              StatusIs(kNotComputed, HasSubstr("'x' with value 7")));
}

// A pooling config with FIELD true and all other modes false.
std::string Flag(absl::string_view field) {
  std::string text = R"({"word_embedding_dimension": 32)";
  for (const char* mode : {"cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens",
                           "weightedmean_tokens", "lasttoken"}) {
    absl::StrAppend(&text, ", \"pooling_mode_", mode, "\": ", field == mode ? "true" : "false");
  }
  return text + "}";
}

TEST(ReadPoolingTest, ModesAreReadFromFlags) {
  const std::pair<const char*, PoolingKind> modes[] = {
      {"cls_token", PoolingKind::kCls},
      {"mean_tokens", PoolingKind::kMean},
      {"max_tokens", PoolingKind::kMax},
      {"lasttoken", PoolingKind::kLast},
      {"mean_sqrt_len_tokens", PoolingKind::kMeanSqrtLength},
      {"weightedmean_tokens", PoolingKind::kWeightedMean}};
  for (const auto& [flag, kind] : modes) {
    EXPECT_THAT(*ReadPooling(Flag(flag), 32), ElementsAre(kind)) << flag;
  }
}

TEST(ReadPoolingTest, ModesAreReadFromNames) {
  const auto read = [](absl::string_view mode) {
    return ReadPooling(absl::StrCat(R"({"embedding_dimension": 32, "pooling_mode": )", mode,
                                    R"(, "include_prompt": true})"),
                       32);
  };
  EXPECT_THAT(*read("\"cls\""), ElementsAre(PoolingKind::kCls));
  EXPECT_THAT(*read("[\"lasttoken\"]"), ElementsAre(PoolingKind::kLast));
  EXPECT_THAT(*read("\"weightedmean\""), ElementsAre(PoolingKind::kWeightedMean));
  EXPECT_THAT(read("\"median\""), StatusIs(kNotComputed, HasSubstr("median")));
  EXPECT_THAT(read("[]"), StatusIs(kInvalid, HasSubstr("no pooling mode")));
  EXPECT_THAT(read("7"), StatusIs(kInvalid, HasSubstr("7, not a name")));
}

TEST(ReadPoolingTest, SeveralModesKeepTheOrderOfSentenceTransformers) {
  EXPECT_THAT(*ReadPooling(R"({"embedding_dimension": 32, "pooling_mode": ["mean", "cls"]})", 32),
              ElementsAre(PoolingKind::kMean, PoolingKind::kCls));
  // Flags have an order of their own.
  EXPECT_THAT(*ReadPooling(R"({"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true,
                               "pooling_mode_cls_token": true})",
                           32),
              ElementsAre(PoolingKind::kCls, PoolingKind::kMax, PoolingKind::kMean));
}

TEST(ReadPoolingTest, MoreModesThanThereAreKindsAreRefused) {
  EXPECT_THAT(ReadPooling(R"({"pooling_mode": ["cls", "max", "mean", "lasttoken", "weightedmean",
                               "mean_sqrt_len_tokens", "cls"]})",
                          32),
              StatusIs(kInvalid, AllOf(HasSubstr("has 7 modes"), HasSubstr("but 6"))));
}

TEST(ReadPoolingTest, FieldsThatAreNotComputedAreNamed) {
  EXPECT_THAT(ReadPooling(R"({"pooling_mode_cls_token": true, "include_prompt": false})", 32),
              StatusIs(kNotComputed, HasSubstr("'include_prompt' is false")));
  EXPECT_THAT(ReadPooling(R"({"pooling_mode_cls_token": true, "pooling_mode_new": true})", 32),
              StatusIs(kNotComputed, HasSubstr("'pooling_mode_new'")));
}

TEST(ReadPoolingTest, ContradictionsAreRefused) {
  EXPECT_THAT(ReadPooling(Flag("cls_token"), 48),
              StatusIs(kInvalid, AllOf(HasSubstr("'word_embedding_dimension' is 32"),
                                       HasSubstr("hidden size is 48"))));
  EXPECT_THAT(ReadPooling(Flag("none"), 32), StatusIs(kInvalid, HasSubstr("no pooling mode")));
  EXPECT_THAT(ReadPooling(R"({"pooling_mode_cls_token": 1})", 32),
              StatusIs(kInvalid, HasSubstr("1, not true or false")));
  EXPECT_THAT(ReadPooling("x", 32), StatusIs(kInvalid, HasSubstr("pooling module's config.json")));
}

TEST(ReadSpladePoolingTest, StrategyAndActivationAreRead) {
  const auto saved = ReadSpladePooling(
      R"({"pooling_strategy": "max", "activation_function": "relu", "embedding_dimension": null})",
      60);
  ASSERT_THAT(saved, IsOk());
  EXPECT_EQ(saved->pooling, SparsePooling::kMax);
  EXPECT_FALSE(saved->log_twice);
  const auto other =
      ReadSpladePooling(R"({"pooling_strategy": "sum", "activation_function": "log1p_relu"})", 60);
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(other->pooling, SparsePooling::kSum);
  EXPECT_TRUE(other->log_twice);
}

TEST(ReadSpladePoolingTest, AnotherVocabularyOrStrategyIsRefused) {
  EXPECT_THAT(ReadSpladePooling(R"({"embedding_dimension": 61})", 60),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("61")));
  EXPECT_FALSE(ReadSpladePooling(R"({"pooling_strategy": "mean"})", 60).ok());
  EXPECT_FALSE(ReadSpladePooling(R"({"threshold": 1})", 60).ok());
}

TEST(ReadMaxSequenceLengthTest, LengthIsReadOrLeftOpen) {
  EXPECT_EQ(*ReadMaxSequenceLength(R"({"max_seq_length": 256, "do_lower_case": false})", 512), 256);
  EXPECT_EQ(*ReadMaxSequenceLength(R"({"max_seq_length": 512})", 512), 512);
  EXPECT_EQ(*ReadMaxSequenceLength(R"({"max_seq_length": null})", 512), std::nullopt);
  EXPECT_EQ(*ReadMaxSequenceLength(
                R"({"transformer_task": "feature-extraction", "module_output_name":
                    "token_embeddings", "modality_config": {"text": {"method": "forward",
                    "method_output_name": "last_hidden_state"}}})",
                512),
            std::nullopt);
}

TEST(ReadMaxSequenceLengthTest, LengthOverTheModelsIsRefusedWithBothValues) {
  EXPECT_THAT(ReadMaxSequenceLength(R"({"max_seq_length": 513})", 512),
              StatusIs(kInvalid, HasSubstr("'max_seq_length' is 513; allowed are 1 .. 512")));
  EXPECT_THAT(ReadMaxSequenceLength(R"({"max_seq_length": 0})", 512),
              StatusIs(kInvalid, HasSubstr("is 0")));
  EXPECT_THAT(ReadMaxSequenceLength(R"({"max_seq_length": "8"})", 512),
              StatusIs(kInvalid, HasSubstr("not an integer")));
}

TEST(ReadMaxSequenceLengthTest, FieldsThatChangeTheTextOrTheModelAreRefused) {
  EXPECT_THAT(ReadMaxSequenceLength(R"({"do_lower_case": true})", 512),
              StatusIs(kNotComputed, HasSubstr("'do_lower_case' is true")));
  EXPECT_THAT(ReadMaxSequenceLength(R"({"transformer_task": "fill-mask"})", 512),
              StatusIs(kNotComputed, HasSubstr("fill-mask")));
  EXPECT_THAT(ReadMaxSequenceLength(R"({"query_length": 32})", 512),
              StatusIs(kNotComputed, HasSubstr("'query_length'")));
}

TEST(ReadTokenizerMaxLengthTest, ModelLimitsTheTokenizer) {
  EXPECT_EQ(*ReadTokenizerMaxLength(R"({"model_max_length": 128, "x": 1})", 512), 128);
  EXPECT_EQ(
      *ReadTokenizerMaxLength(R"({"model_max_length": 1000000000000000019884624838656})", 512),
      512);
  EXPECT_EQ(*ReadTokenizerMaxLength("{}", 512), 512);
  EXPECT_THAT(ReadTokenizerMaxLength(R"({"model_max_length": 0})", 512),
              StatusIs(kInvalid, HasSubstr("is 0")));
  EXPECT_THAT(ReadTokenizerMaxLength(R"({"model_max_length": "8"})", 512),
              StatusIs(kInvalid, HasSubstr("not a number")));
}

TEST(ReadDenseTest, FieldsAreRead) {
  const auto dense = ReadDense(
      R"({"in_features": 32, "out_features": 8, "bias": false,
          "activation_function": "torch.nn.modules.linear.Identity"})",
      32);
  ASSERT_THAT(dense, IsOk());
  EXPECT_EQ(dense->out_features, 8);
  EXPECT_FALSE(dense->bias);
  EXPECT_EQ(dense->activation, DenseActivation::kIdentity);
  EXPECT_EQ(ReadDense(R"({"in_features": 32, "out_features": 8})", 32)->activation,
            DenseActivation::kTanh);
}

TEST(ReadDenseTest, WhatDoesNotFitOrIsNotComputedIsRefused) {
  EXPECT_THAT(ReadDense(R"({"in_features": 16, "out_features": 8})", 32),
              StatusIs(kInvalid, AllOf(HasSubstr("'in_features' is 16"), HasSubstr("has 32"))));
  EXPECT_THAT(ReadDense(R"({"in_features": 32})", 32),
              StatusIs(kInvalid, HasSubstr("lacks 'out_features'")));
  EXPECT_THAT(ReadDense(R"({"in_features": 32, "out_features": 8,
                            "activation_function": "torch.nn.modules.activation.Mish"})",
                        32),
              StatusIs(kNotComputed, HasSubstr("Mish")));
  EXPECT_THAT(ReadDense(R"({"in_features": 32, "out_features": 8, "use_residual": true})", 32),
              StatusIs(kNotComputed, HasSubstr("'use_residual'")));
}

TEST(ReadPromptsTest, PromptsAreReadByName) {
  const auto read =
      ReadPrompts(R"({"prompts": {"query": "q: ", "": ""}, "default_prompt_name": "query"})");
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->prompts.at("query"), "q: ");
  EXPECT_EQ(read->default_name, "query");
  EXPECT_EQ(
      ReadPrompts(R"({"prompts": {"query": "q: "}, "default_prompt_name": null})")->default_name,
      "");
  EXPECT_TRUE(ReadPrompts("{}")->prompts.empty());
}

TEST(ReadPromptsTest, ContradictionsAreRefused) {
  EXPECT_THAT(ReadPrompts(R"({"prompts": {"query": "q: "}, "default_prompt_name": "passage"})"),
              StatusIs(kInvalid, HasSubstr("'default_prompt_name' is \"passage\"")));
  EXPECT_THAT(ReadPrompts(R"({"prompts": ["q: "]})"), StatusIs(kInvalid, HasSubstr("'prompts'")));
  EXPECT_THAT(ReadPrompts(R"({"prompts": {"query": 3}})"), StatusIs(kInvalid, HasSubstr("3")));
}

}  // namespace
}  // namespace contexture
