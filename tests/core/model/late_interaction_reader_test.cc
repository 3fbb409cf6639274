#include "core/model/late_interaction_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/model/sentence_transformers.h"
#include "core/model/tokenizer_config.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;

TEST(LateInteractionReaderTest, PyLatesPrefixesArePromptsAndMarkers) {
  const auto read = ReadMultiVectorConfig(R"({
      "model_type": "ColBERT", "prompts": {"query": "why ", "other": "x"},
      "query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 24,
      "document_length": 300, "attend_to_expansion_tokens": true, "skiplist_words": ["a", "b"]})");
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->prompts.prompts.at("query"), "[Q] why ");
  EXPECT_EQ(read->prompts.prompts.at("document"), "[D] ");
  const LateInteractionConfig& late = read->late_interaction;
  EXPECT_THAT(late.markers, ElementsAre("[Q] ", "[D] "));
  EXPECT_THAT(late.skiplist, ElementsAre("a", "b"));
  EXPECT_EQ(late.expansion.length, 24);
  EXPECT_TRUE(late.expansion.fixed);
  EXPECT_TRUE(late.expansion.attended);
  EXPECT_EQ(late.document_length, 300);
}

TEST(LateInteractionReaderTest, PyLateWithoutSettingsExpandsTo32AndSkipsPunctuation) {
  const auto read = ReadMultiVectorConfig(R"({"model_type": "ColBERT"})");
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->late_interaction.expansion.length, 32);
  EXPECT_FALSE(read->late_interaction.expansion.attended);
  EXPECT_EQ(read->late_interaction.skiplist.size(), 32u);
}

TEST(LateInteractionReaderTest, SettingsThatAreNotKnownAreNamedWithTheirValue) {
  EXPECT_THAT(ReadMultiVectorConfig(R"({"model_type": "ColBERT", "pool_factor": 2})"),
              StatusIs(kPrecondition, AllOf(HasSubstr("pool_factor"), HasSubstr("2"))));
  EXPECT_THAT(ReadMultiVectorConfig(R"({"model_type": "MultiVectorEncoder", "query_prefix": "Q"})"),
              StatusIs(kPrecondition, HasSubstr("query_prefix")));
  EXPECT_THAT(
      ReadMultiVectorConfig(R"({"model_type": "ColBERT", "similarity_fn_name": "euclidean"})"),
      StatusIs(kPrecondition, HasSubstr("euclidean")));
  EXPECT_THAT(ReadMultiVectorConfig(R"({"model_type": "SparseEncoder"})"),
              StatusIs(kPrecondition, HasSubstr("SparseEncoder")));
}

TEST(LateInteractionReaderTest, TheTransformersFileHasLengthsAndExpansion) {
  LateInteractionConfig late;
  ASSERT_THAT(ReadMultiVectorTransformer(
                  R"({"max_seq_length": 60, "document_length": 50, "query_expansion":
                      {"strategy": "min", "attend": true, "token": "[X]", "length": 12}})",
                  late),
              IsOk());
  EXPECT_EQ(late.document_length, 50);
  EXPECT_EQ(late.expansion.length, 12);
  EXPECT_FALSE(late.expansion.fixed);
  EXPECT_TRUE(late.expansion.attended);
  EXPECT_EQ(late.expansion.token, "[X]");
  EXPECT_THAT(
      ReadMultiVectorTransformer(
          R"({"query_length": 8, "query_expansion": {"strategy": "fixed", "length": 12}})", late),
      StatusIs(kInvalid, AllOf(HasSubstr("8"), HasSubstr("12"))));
  EXPECT_THAT(ReadMultiVectorTransformer(
                  R"({"query_expansion": {"strategy": "double", "length": 1}})", late),
              StatusIs(kPrecondition, HasSubstr("double")));
  EXPECT_THAT(ReadMultiVectorTransformer(R"({"processing_kwargs": {"text": {}}})", late),
              StatusIs(kPrecondition, HasSubstr("processing_kwargs")));
}

TEST(LateInteractionReaderTest, TheMaskSaysWhichSidesSkipTheList) {
  LateInteractionConfig late;
  ASSERT_THAT(ReadMultiVectorMask(R"({"skiplist_words": ["."], "skiplist_tasks": "query"})", late),
              IsOk());
  EXPECT_THAT(late.skiplist, ElementsAre("."));
  EXPECT_TRUE(late.skips_query);
  EXPECT_FALSE(late.skips_document);
  EXPECT_THAT(ReadMultiVectorMask(R"({"keep_only_token_ids": [7]})", late),
              StatusIs(kPrecondition, HasSubstr("keep_only_token_ids")));
  EXPECT_THAT(CheckTokenNormalize(R"({"module_input_name": "sentence_embedding"})"),
              StatusIs(kPrecondition, HasSubstr("sentence_embedding")));
  EXPECT_THAT(CheckTokenNormalize("{}"), StatusIs(kInvalid, HasSubstr("module_input_name")));
}

TEST(LateInteractionReaderTest, ColbertsMetadataIsReadAndItsUnknownSettingsAreRefused) {
  const auto read = ReadColbertMetadata(
      R"({"dim": 96, "query_maxlen": 40, "doc_maxlen": 220, "mask_punctuation": false,
          "query_token_id": "[unused0]", "similarity": "cosine", "lr": 1e-5})");
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->vector_size, 96);
  EXPECT_EQ(read->late_interaction.expansion.length, 40);
  EXPECT_EQ(read->late_interaction.document_length, 220);
  EXPECT_TRUE(read->late_interaction.skiplist.empty());
  EXPECT_EQ(read->prompts.prompts.at("document"), "[unused1] ");
  EXPECT_THAT(ReadColbertMetadata(R"({"dim": 96, "similarity": "l2"})"),
              StatusIs(kPrecondition, HasSubstr("l2")));
  EXPECT_THAT(ReadColbertMetadata(R"({"dim": 96, "half": true})"),
              StatusIs(kPrecondition, HasSubstr("half")));
  EXPECT_THAT(ReadColbertMetadata("{}"), StatusIs(kInvalid, HasSubstr("dim")));
}

TEST(LateInteractionReaderTest, AnExpansionThatTheModelCannotHoldIsRefusedWithBothValues) {
  EncoderConfig config;
  config.max_length = 30;
  LateInteractionConfig late;
  late.expansion.length = 32;
  late.expansion.attended = false;
  EXPECT_THAT(CheckExpansion(late, config),
              StatusIs(kInvalid, AllOf(HasSubstr("32"), HasSubstr("30"))));
  config.max_length = 64;
  EXPECT_THAT(CheckExpansion(late, config), IsOk());
  config.attention.window = 16;
  EXPECT_THAT(CheckExpansion(late, config),
              StatusIs(kPrecondition, AllOf(HasSubstr("32"), HasSubstr("16"))));
  late.expansion.attended = true;
  EXPECT_THAT(CheckExpansion(late, config), IsOk());
}

TEST(LateInteractionReaderTest, ModulesOfTokensAreKnownInEitherOrder) {
  const char* transformer = R"({"path": "", "type": "sentence_transformers.models.Transformer"})";
  const char* dense = R"({"path": "1_Dense", "type": "pylate.models.Dense.Dense"})";
  const char* mask = R"({"path": "2_M", "type": "sentence_transformers.x.MultiVectorMask"})";
  const char* normalize = R"({"path": "3_N", "type": "sentence_transformers.models.Normalize"})";
  const auto list = [](std::initializer_list<const char*> modules) {
    std::string text;
    for (const char* module : modules) text += (text.empty() ? "[" : ", ") + std::string(module);
    return text + "]";
  };
  for (const std::string& text :
       {list({transformer, dense}), list({transformer, dense, mask, normalize}),
        list({transformer, dense, normalize, mask})}) {
    const auto read = ReadSentenceModules(text);
    ASSERT_THAT(read, IsOk()) << text;
    EXPECT_TRUE(read->late_interaction);
    EXPECT_EQ(read->dense_paths.size(), 1u);
  }
  EXPECT_THAT(ReadSentenceModules(list({transformer, mask, dense})),
              StatusIs(kPrecondition, HasSubstr("MultiVectorMask, Dense")));
  EXPECT_THAT(ReadDense(R"({"in_features": 4, "out_features": 2, "use_residual": true})", 4, true),
              StatusIs(kPrecondition, HasSubstr("use_residual")));
}

TEST(TokenizerConfigTest, TheMapRulesUnlessTheConfigurationHasItsOwnAddedTokens) {
  const char* map = R"({"mask_token": "<m>"})";
  const auto both = ReadTokenizerConfig(R"({"mask_token": "[MASK]", "eos_token": "</s>"})", map);
  ASSERT_THAT(both, IsOk());
  EXPECT_EQ(both->mask, "<m>");
  EXPECT_EQ(both->end, "</s>");
  const auto own = ReadTokenizerConfig(
      R"({"mask_token": {"content": "[MASK]", "lstrip": true}, "added_tokens_decoder": {}})", map);
  ASSERT_THAT(own, IsOk());
  EXPECT_EQ(own->mask, "[MASK]");
  EXPECT_THAT(ReadTokenizerConfig(R"({"mask_token": 5})", std::nullopt),
              StatusIs(kInvalid, HasSubstr("mask_token")));
  ASSERT_THAT(ReadTokenizerConfig(std::nullopt, std::nullopt), IsOk());
}

TEST(TokenizerConfigTest, TypesArePassedOnUnlessTheListOfInputsLeavesThemOut) {
  EXPECT_TRUE(ReadTokenizerConfig("{}", std::nullopt)->passes_type_ids);
  EXPECT_TRUE(ReadTokenizerConfig(
                  R"({"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]})",
                  std::nullopt)
                  ->passes_type_ids);
  EXPECT_FALSE(
      ReadTokenizerConfig(R"({"model_input_names": ["input_ids", "attention_mask"]})", std::nullopt)
          ->passes_type_ids);
  EXPECT_THAT(ReadTokenizerConfig(R"({"model_input_names": "input_ids"})", std::nullopt),
              StatusIs(kInvalid, HasSubstr("model_input_names")));
}

}  // namespace
}  // namespace contexture
