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

TEST(ReadSentenceModulesTest, OtherModulesAreRefusedByName) {
  for (const char* kind : {"Dense", "WordEmbeddings", "CNN", "WeightedLayerPooling"}) {
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
       {std::string(), transformer, absl::StrCat(pooling, ",", transformer),
        absl::StrCat(transformer, ",", normalize, ",", pooling),
        absl::StrCat(transformer, ",", pooling, ",", normalize, ",", normalize)}) {
    EXPECT_THAT(ReadSentenceModules(absl::StrCat("[", list, "]")),
                StatusIs(kNotComputed, HasSubstr("modules.json lists [")));
  }
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
  EXPECT_EQ(*ReadPooling(Flag("cls_token"), 32), PoolingKind::kCls);
  EXPECT_EQ(*ReadPooling(Flag("mean_tokens"), 32), PoolingKind::kMean);
  EXPECT_EQ(*ReadPooling(Flag("max_tokens"), 32), PoolingKind::kMax);
  EXPECT_EQ(*ReadPooling(Flag("lasttoken"), 32), PoolingKind::kLast);
}

TEST(ReadPoolingTest, ModesAreReadFromNames) {
  const auto read = [](absl::string_view mode) {
    return ReadPooling(absl::StrCat(R"({"embedding_dimension": 32, "pooling_mode": )", mode,
                                    R"(, "include_prompt": true})"),
                       32);
  };
  EXPECT_EQ(*read("\"cls\""), PoolingKind::kCls);
  EXPECT_EQ(*read("\"mean\""), PoolingKind::kMean);
  EXPECT_EQ(*read("\"max\""), PoolingKind::kMax);
  EXPECT_EQ(*read("[\"lasttoken\"]"), PoolingKind::kLast);
  EXPECT_THAT(read("\"weightedmean\""), StatusIs(kNotComputed, HasSubstr("weightedmean")));
  EXPECT_THAT(read("\"median\""), StatusIs(kNotComputed, HasSubstr("median")));
  EXPECT_THAT(read("[\"cls\", \"max\"]"), StatusIs(kNotComputed, HasSubstr("cls, max")));
  EXPECT_THAT(read("[]"), StatusIs(kInvalid, HasSubstr("no pooling mode")));
  EXPECT_THAT(read("7"), StatusIs(kInvalid, HasSubstr("7, not a name")));
}

TEST(ReadPoolingTest, ModesThatAreNotComputedAreNamed) {
  EXPECT_THAT(ReadPooling(Flag("mean_sqrt_len_tokens"), 32),
              StatusIs(kNotComputed, HasSubstr("pooling_mode_mean_sqrt_len_tokens")));
  EXPECT_THAT(ReadPooling(Flag("weightedmean_tokens"), 32),
              StatusIs(kNotComputed, HasSubstr("pooling_mode_weightedmean_tokens")));
  EXPECT_THAT(
      ReadPooling(R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true})", 32),
      StatusIs(kNotComputed, HasSubstr("pooling_mode_cls_token, pooling_mode_mean_tokens")));
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

TEST(CheckPromptsTest, DefaultPromptIsRefusedByName) {
  EXPECT_THAT(CheckPrompts(R"({"prompts": {"query": "q: "}, "default_prompt_name": null})"),
              IsOk());
  EXPECT_THAT(CheckPrompts(R"({"prompts": {"query": "q: "}, "default_prompt_name": "query"})"),
              StatusIs(kNotComputed, HasSubstr("'default_prompt_name' is \"query\"")));
}

}  // namespace
}  // namespace contexture
