#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/services/entity_groups.h"
#include "server/services/head_scores.h"
#include "tests/server/test_server.h"

namespace contexture {
namespace {

using test_support::FakeClassifier;
using test_support::FakeEngineInfo;
using test_support::FakeLogit;
using test_support::TestServer;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ContinuesWordTest, APrefixedSpellingIsLongerThanItsText) {
  EXPECT_TRUE(ContinuesWord("walking", 4, 7, "##ing", /*has_prefix=*/true));
  EXPECT_FALSE(ContinuesWord("walking", 0, 4, "walk", /*has_prefix=*/true));
  // By characters, not bytes.
  EXPECT_FALSE(ContinuesWord("\xc3\xa9t\xc3\xa9", 0, 5, "\xc3\xa9t\xc3\xa9", /*has_prefix=*/true));
}

TEST(ContinuesWordTest, WithoutPrefixesASpaceBeginsAWord) {
  EXPECT_FALSE(ContinuesWord("a walk", 2, 4, "wa", /*has_prefix=*/false));
  EXPECT_TRUE(ContinuesWord("a walk", 4, 6, "lk", /*has_prefix=*/false));
  EXPECT_FALSE(ContinuesWord("a walk", 1, 4, " wa", /*has_prefix=*/false));
  EXPECT_FALSE(ContinuesWord("a walk", 0, 1, "a", /*has_prefix=*/false));
}

TEST(HighestTest, EqualScoresStandInTheOrderOfTheirIds) {
  const std::vector<float> scores = {0.5f, 2.0f, 0.5f, 2.0f};
  EXPECT_THAT(Highest(scores, 3), ::testing::ElementsAre(1, 3, 0));
}

EngineInfo InfoWith(HeadConfig head) {
  EngineInfo info = FakeEngineInfo();
  info.config.heads = {std::move(head)};
  return info;
}

HeadConfig Tagger() {
  HeadConfig head = FakeClassifier({"O", "B-X", "I-X"});
  head.task = HeadTask::kTokenClassification;
  head.rows = HeadRows::kEach;
  return head;
}

class ClassifyTokensTest : public ::testing::Test {
 protected:
  grpc::Status Tag() { return Tag(server_); }
  grpc::Status Tag(TestServer& server) {
    grpc::ClientContext context;
    response_.Clear();
    return server.NewTaskStub()->ClassifyTokens(&context, request_, &response_);
  }

  TestServer server_{TestServer::DefaultOptions(), /*load=*/true, InfoWith(Tagger())};
  v1::ClassifyTokensRequest request_;
  v1::ClassifyTokensResponse response_;
};

TEST_F(ClassifyTokensTest, EachTokenOfIdsHasItsBestLabel) {
  auto& ids = *request_.add_inputs()->mutable_token_ids()->mutable_ids();
  for (uint32_t id : {5, 6, 7, 8}) ids.Add(id);
  request_.set_include_outside(true);
  ASSERT_TRUE(Tag().ok());
  const v1::TokenClassification& result = response_.results(0);
  ASSERT_EQ(result.entities_size(), 4);
  for (int i = 0; i < 4; ++i) {
    const uint32_t id = 5 + static_cast<uint32_t>(i);
    int best = 0;
    double sum = 0;
    for (int d = 0; d < 3; ++d) {
      if (FakeLogit({id}, d) > FakeLogit({id}, best)) best = d;
      sum += std::exp(FakeLogit({id}, d));
    }
    EXPECT_EQ(result.entities(i).label(), Tagger().labels[best]) << i;
    EXPECT_NEAR(result.entities(i).score(), std::exp(FakeLogit({id}, best)) / sum, 1e-6);
    EXPECT_EQ(result.entities(i).token_begin(), static_cast<uint32_t>(i));
    EXPECT_EQ(result.entities(i).token_end(), static_cast<uint32_t>(i) + 1);
  }
  int inside = 0;
  for (const v1::Entity& entity : result.entities()) inside += entity.label() != "O";
  request_.set_include_outside(false);
  ASSERT_TRUE(Tag().ok());
  EXPECT_EQ(response_.results(0).entities_size(), inside);
}

TEST_F(ClassifyTokensTest, PairsAndWordsOfIdsAreRefusedAlone) {
  auto& pair = *request_.add_inputs()->mutable_text_pair();
  pair.set_first("a");
  pair.set_second("b");
  request_.add_inputs()->mutable_token_ids()->add_ids(5);
  request_.set_aggregation(v1::AGGREGATION_MAX);
  ASSERT_TRUE(Tag().ok());
  EXPECT_EQ(response_.results(0).status().code(), int{grpc::StatusCode::INVALID_ARGUMENT});
  EXPECT_THAT(response_.results(0).status().message(), HasSubstr("inputs[0].text_pair"));
  EXPECT_EQ(response_.results(1).status().code(), int{grpc::StatusCode::INVALID_ARGUMENT});
  EXPECT_THAT(response_.results(1).status().message(),
              AllOf(HasSubstr("inputs[1]"), HasSubstr("AGGREGATION_MAX")));
}

TEST_F(ClassifyTokensTest, AnUnknownAggregationAndAModelWithoutTheHeadAreRefused) {
  request_.add_inputs()->mutable_token_ids()->add_ids(5);
  TestServer plain;
  EXPECT_EQ(Tag(plain).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  request_.set_aggregation(static_cast<v1::Aggregation>(77));
  const grpc::Status status = Tag();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("aggregation"), HasSubstr("77")));
}

HeadConfig MaskedLm() {
  return {.task = HeadTask::kMaskedLm, .rows = HeadRows::kEach, .num_outputs = 100};
}

class FillMaskTest : public ::testing::Test {
 protected:
  grpc::Status Fill() { return Fill(server_); }
  grpc::Status Fill(TestServer& server) {
    grpc::ClientContext context;
    response_.Clear();
    return server.NewTaskStub()->FillMask(&context, request_, &response_);
  }

  TestServer server_{TestServer::DefaultOptions(), /*load=*/true, InfoWith(MaskedLm())};
  v1::FillMaskRequest request_;
  v1::FillMaskResponse response_;
};

TEST_F(FillMaskTest, EachMaskHasItsPredictionsAndPlace) {
  request_.add_inputs()->set_text("a [MASK] b [MASK]");
  request_.set_top_k(2);
  ASSERT_TRUE(Fill().ok());
  const v1::MaskFilling& result = response_.results(0);
  ASSERT_FALSE(result.has_status()) << result.status().message();
  ASSERT_EQ(result.masks_size(), 2);
  EXPECT_EQ(result.masks(0).position(), 2u);
  EXPECT_EQ(result.masks(1).position(), 4u);
  EXPECT_EQ(result.masks(0).predictions_size(), 2);
}

TEST_F(FillMaskTest, AnInputWithoutAMaskFailsAlone) {
  request_.add_inputs()->set_text("a b");
  request_.add_inputs()->set_text("[MASK]");
  ASSERT_TRUE(Fill().ok());
  EXPECT_EQ(response_.results(0).status().code(), int{grpc::StatusCode::INVALID_ARGUMENT});
  EXPECT_THAT(response_.results(0).status().message(),
              AllOf(HasSubstr("inputs[0]"), HasSubstr("none of its 4 tokens"), HasSubstr("16")));
  EXPECT_EQ(response_.results(1).masks_size(), 1);
}

TEST_F(FillMaskTest, TheMaskIsTheOneThatTheDirectoryNames) {
  EngineInfo info = InfoWith(MaskedLm());
  info.tokenizer_config.mask = "three";  // a word of five bytes, id 15
  TestServer named(TestServer::DefaultOptions(), /*load=*/true, info);
  request_.add_inputs()->set_text("a [MASK] three");
  ASSERT_TRUE(Fill(named).ok());
  ASSERT_EQ(response_.results(0).masks_size(), 1);
  EXPECT_EQ(response_.results(0).masks(0).position(), 3u);
  info.tokenizer_config.mask = std::string(95, 'x');  // id 105, of 100
  TestServer outside(TestServer::DefaultOptions(), /*load=*/true, info);
  const grpc::Status status = Fill(outside);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("100 tokens"));
}

TEST_F(FillMaskTest, CountsAndModelsThatDoNotFitAreRefused) {
  request_.add_inputs()->set_text("[MASK]");
  for (const auto& [top_k, text] : {std::pair{0, "0 asked for"}, std::pair{101, "1 to 100"}}) {
    request_.set_top_k(top_k);
    const grpc::Status status = Fill();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), AllOf(HasSubstr("top_k"), HasSubstr(text)));
  }
  request_.clear_top_k();
  TestServer plain;
  EXPECT_EQ(Fill(plain).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  for (const char* no_token : {"abc", "a b"}) {
    request_.set_mask_token(no_token);
    const grpc::Status status = Fill();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << no_token;
    EXPECT_THAT(status.error_message(), HasSubstr("mask_token"));
  }
  request_.set_mask_token("[MASK]");
  EXPECT_TRUE(Fill().ok());
}

}  // namespace
}  // namespace contexture
