#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/model/config_reader.h"
#include "core/model/json_reader.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A BERT's config.json with FIELDS besides.
absl::StatusOr<EncoderConfig> Read(
    const std::string& fields, const std::string& architecture = "BertForSequenceClassification") {
  return ReadEncoderConfig(absl::StrCat(
      R"({"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
          "intermediate_size": 16, "vocab_size": 20, "max_position_embeddings": 10,
          "architectures": [")",
      architecture, R"("])", fields.empty() ? "" : ", ", fields, "}"));
}

void ExpectRefused(const std::string& fields, const std::vector<std::string>& parts) {
  const auto config = Read(fields);
  ASSERT_FALSE(config.ok()) << fields;
  for (const std::string& part : parts) EXPECT_THAT(config.status().message(), HasSubstr(part));
}

TEST(HeadReaderTest, ArchitectureAndLabelsDescribeAHead) {
  const auto config =
      Read(R"("id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": "1"})");
  ASSERT_THAT(config, IsOk());
  ASSERT_EQ(config->heads.size(), 1);
  const HeadConfig& head = config->heads[0];
  EXPECT_EQ(head.task, HeadTask::kSequenceClassification);
  EXPECT_EQ(head.architecture, "BertForSequenceClassification");
  EXPECT_THAT(head.labels, ElementsAre("no", "yes"));
  EXPECT_EQ(head.num_outputs, 2);
  EXPECT_EQ(head.dense_size, 8);
  EXPECT_EQ(head.activation, HeadActivation::kTanh);
  EXPECT_EQ(head.score_function, ScoreFunction::kSoftmax);
  EXPECT_EQ(head.rank_function, ScoreFunction::kNone);
}

TEST(HeadReaderTest, WithoutLabelsTransformersHasTwo) {
  EXPECT_THAT(Read("")->heads[0].labels, ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_THAT(Read(R"("num_labels": 1)")->heads[0].labels, ElementsAre("LABEL_0"));
}

TEST(HeadReaderTest, ProblemTypeAndCrossEncoderChooseTheFunctions) {
  EXPECT_EQ(Read(R"("num_labels": 1)")->heads[0].score_function, ScoreFunction::kSigmoid);
  EXPECT_EQ(Read(R"("num_labels": 1)")->heads[0].rank_function, ScoreFunction::kSigmoid);
  EXPECT_EQ(Read(R"("problem_type": "regression")")->heads[0].score_function, ScoreFunction::kNone);
  EXPECT_EQ(Read(R"("problem_type": "multi_label_classification")")->heads[0].score_function,
            ScoreFunction::kSigmoid);
  const char* kIdentity =
      R"("num_labels": 1, "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"})";
  EXPECT_EQ(Read(kIdentity)->heads[0].rank_function, ScoreFunction::kNone);
}

TEST(HeadReaderTest, AClassWithoutARowHasNoHead) {
  EXPECT_TRUE(Read("", "BertModel")->heads.empty());
  EXPECT_TRUE(Read("", "BertForQuestionAnswering")->heads.empty());
  EXPECT_EQ(Read("", "BertForPreTraining")->heads[0].task, HeadTask::kMaskedLm);
}

TEST(HeadReaderTest, LabelsThatDisagreeAreRefusedWithBothValues) {
  ExpectRefused(R"("num_labels": 3, "id2label": {"0": "no", "1": "yes"})",
                {"'num_labels' is 3", "2 labels"});
  ExpectRefused(R"("id2label": {"0": "no", "2": "yes"})", {"'2'", "0 to 1"});
  ExpectRefused(R"("id2label": {"0": "no", "x": "yes"})", {"'x'", "0 to 1"});
  ExpectRefused(R"("id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 1, "yes": 0})",
                {"'label2id'", "'no'", "1", "'yes'"});
  ExpectRefused(R"("id2label": {"0": "no"}, "label2id": {"no": 0, "yes": 1})",
                {"'yes'", "1", "0 to 0"});
  ExpectRefused(R"("id2label": ["no", "yes"])", {"id2label", "an object"});
  ExpectRefused(R"("num_labels": 0)", {"num_labels", "0"});
}

TEST(HeadReaderTest, WhatIsNotComputedIsNamed) {
  ExpectRefused(R"("problem_type": "ranking")", {"problem_type", "ranking", "regression"});
  ExpectRefused(R"("sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"})",
                {"activation_fn", "Tanh", "Sigmoid"});
}

}  // namespace
}  // namespace contexture
