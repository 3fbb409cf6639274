#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/services/late_interaction_fakes.h"
#include "tests/server/test_server.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::FakeLogit;
using test_support::kMaskId;
using test_support::LateInfo;
using test_support::Score;
using test_support::TestServer;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LateInteractionTest : public ::testing::Test {
 protected:
  grpc::Status ScoreAll(TestServer& server) {
    grpc::ClientContext context;
    response_.Clear();
    return server.NewTaskStub()->ScoreLateInteraction(&context, request_, &response_);
  }
  grpc::Status ScoreAll() { return ScoreAll(server_); }
  void SetIds(const std::vector<uint32_t>& ids, v1::Input& input) {
    input.mutable_token_ids()->mutable_ids()->Assign(ids.begin(), ids.end());
  }
  v1::Result Encode(v1::InputRole role, const v1::Input& input) {
    grpc::ClientContext context;
    v1::EncodeRequest request;
    v1::EncodeResponse response;
    *request.add_inputs() = input;
    request.set_role(role);
    request.add_outputs()->set_kind(v1::OUTPUT_KIND_MULTI_VECTOR);
    const grpc::Status status = server_.NewStub()->Encode(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.results_size() == 1 ? response.results(0) : v1::Result();
  }

  TestServer server_{TestServer::DefaultOptions(), /*load=*/true, LateInfo()};
  v1::ScoreLateInteractionRequest request_;
  v1::ScoreLateInteractionResponse response_;
};

TEST_F(LateInteractionTest, DocumentsComeInTheOrderOfTheirScores) {
  SetIds({5, 6, 7}, *request_.mutable_query());
  const std::vector<std::vector<uint32_t>> documents = {{20, 21}, {22, 23, 24}, {25}};
  for (const auto& ids : documents) SetIds(ids, *request_.add_documents());
  const grpc::Status status = ScoreAll();
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response_.results_size(), 3);
  for (int i = 0; i < 3; ++i) {
    const v1::RankedDocument& result = response_.results(i);
    EXPECT_FLOAT_EQ(result.score(),
                    Score({5, 6, 7, kMaskId, kMaskId, kMaskId}, documents[result.index()]));
    EXPECT_EQ(result.token_count(), documents[result.index()].size());
    if (i > 0) {
      EXPECT_LE(result.score(), response_.results(i - 1).score());
    }
  }
  EXPECT_EQ(response_.query_token_count(), 6u);
  EXPECT_FALSE(response_.query_truncated());
  EXPECT_EQ(response_.usage().token_count(), 6u + 6u);
  EXPECT_EQ(response_.fingerprint(), "abc");
  const uint32_t best = response_.results(0).index();
  request_.set_top_n(1);
  ASSERT_TRUE(ScoreAll().ok());
  ASSERT_EQ(response_.results_size(), 1);
  EXPECT_EQ(response_.results(0).index(), best);
}

TEST_F(LateInteractionTest, TextsHaveThePromptsOfTheirSideAndSkipTheList) {
  request_.mutable_query()->set_text("and");           // 1 11 13 2
  request_.add_documents()->set_text("and four and");  // 1 12 13 14 13 2
  const grpc::Status status = ScoreAll();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_FLOAT_EQ(response_.results(0).score(),
                  Score({1, 11, 13, 2, kMaskId, kMaskId}, {1, 12, 14, 2}));
}

TEST_F(LateInteractionTest, EncodeGivesTheVectorsOfTheTokensThatAreScored) {
  v1::Input input;
  input.set_text("and four");
  const v1::Result document = Encode(v1::INPUT_ROLE_DOCUMENT, input);
  ASSERT_EQ(document.outputs_size(), 1);
  EXPECT_THAT(document.outputs(0).indices(), ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(document.outputs(0).shape(), ElementsAre(4, 3));
  EXPECT_THAT(document.token_ids(), ElementsAre(1, 12, 13, 14, 2));
  float value;
  std::memcpy(&value, document.outputs(0).data().data() + 2 * 3 * sizeof(float), sizeof(value));
  EXPECT_EQ(value, FakeLogit({14}, 0));
  const v1::Result query = Encode(v1::INPUT_ROLE_QUERY, input);
  EXPECT_THAT(query.token_ids(), ElementsAre(1, 11, 13, 14, 2, kMaskId));
  EXPECT_THAT(query.outputs(0).indices(), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_FALSE(query.truncated());
  EXPECT_EQ(query.original_token_count(), 5u);
  const v1::Result neither = Encode(v1::INPUT_ROLE_UNSPECIFIED, input);
  EXPECT_THAT(neither.token_ids(), ElementsAre(1, 13, 14, 2));
  EXPECT_THAT(neither.outputs(0).indices(), ElementsAre(0, 2, 3));
}

TEST_F(LateInteractionTest, EachSideHasItsOwnLength) {
  request_.mutable_query()->set_text("a b c d e");
  request_.add_documents()->set_text("a b");
  grpc::Status status = ScoreAll();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("query"), HasSubstr("8"), HasSubstr("6")));
  request_.set_truncation(v1::TRUNCATION_RIGHT);
  ASSERT_TRUE(ScoreAll().ok());
  EXPECT_TRUE(response_.query_truncated());
  request_.clear_truncation();
  request_.mutable_query()->set_text("a");
  request_.add_documents()->set_text("a b c d e");
  ASSERT_TRUE(ScoreAll().ok());
  EXPECT_THAT(response_.results(1).status().message(),
              AllOf(HasSubstr("documents[1]"), HasSubstr("8"), HasSubstr("7")));
}

TEST_F(LateInteractionTest, ABadDocumentFailsAloneAndABadQueryTheCall) {
  SetIds({5}, *request_.mutable_query());
  SetIds({500}, *request_.add_documents());
  SetIds({13, 13}, *request_.add_documents());
  SetIds({test_support::kPoisonId}, *request_.add_documents());
  SetIds({7}, *request_.add_documents());
  ASSERT_TRUE(ScoreAll().ok());
  ASSERT_EQ(response_.results_size(), 4);
  EXPECT_EQ(response_.results(0).index(), 3u);
  EXPECT_THAT(response_.results(1).status().message(), HasSubstr("documents[0]"));
  EXPECT_THAT(response_.results(2).status().message(), HasSubstr("none of its 2 tokens"));
  EXPECT_EQ(response_.results(3).status().code(), int{grpc::StatusCode::INTERNAL});
  SetIds({test_support::kPoisonId}, *request_.mutable_query());
  EXPECT_EQ(ScoreAll().error_code(), grpc::StatusCode::INTERNAL);
  request_.mutable_query()->set_text("");
  EXPECT_EQ(ScoreAll().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(LateInteractionTest, TopNLeavesTheBestAndEveryDocumentThatFailed) {
  SetIds({5, 6}, *request_.mutable_query());
  SetIds({500}, *request_.add_documents());
  SetIds({20, 21}, *request_.add_documents());
  SetIds({test_support::kPoisonId}, *request_.add_documents());
  SetIds({40, 41}, *request_.add_documents());
  ASSERT_TRUE(ScoreAll().ok());
  ASSERT_EQ(response_.results_size(), 4);
  const v1::RankedDocument best = response_.results(0);
  EXPECT_GT(best.score(), response_.results(1).score());
  request_.set_top_n(1);
  ASSERT_TRUE(ScoreAll().ok());
  ASSERT_EQ(response_.results_size(), 3);
  EXPECT_EQ(response_.results(0).index(), best.index());
  EXPECT_EQ(response_.results(0).score(), best.score());
  EXPECT_FALSE(response_.results(0).has_status());
  EXPECT_EQ(response_.results(1).index(), 0u);
  EXPECT_EQ(response_.results(1).status().code(), int{grpc::StatusCode::INVALID_ARGUMENT});
  EXPECT_EQ(response_.results(2).index(), 2u);
  EXPECT_EQ(response_.results(2).status().code(), int{grpc::StatusCode::INTERNAL});
}

TEST_F(LateInteractionTest, CallsOfWhichEveryDocumentFailsHaveNoScore) {
  SetIds({5}, *request_.mutable_query());
  SetIds({500}, *request_.add_documents());
  SetIds({test_support::kPoisonId}, *request_.add_documents());
  request_.set_top_n(2);
  const grpc::Status status = ScoreAll();
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response_.results_size(), 2);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(response_.results(i).index(), static_cast<uint32_t>(i));
    EXPECT_NE(response_.results(i).status().code(), 0);
  }
}

TEST_F(LateInteractionTest, MeanDividesByTheVectorsOfTheQuery) {
  EngineInfo info = LateInfo();
  info.late_interaction->mean = true;
  TestServer server(TestServer::DefaultOptions(), /*load=*/true, info);
  SetIds({5, 6}, *request_.mutable_query());
  SetIds({20, 21}, *request_.add_documents());
  ASSERT_TRUE(ScoreAll(server).ok());
  ASSERT_EQ(response_.results_size(), 1);
  EXPECT_FLOAT_EQ(response_.results(0).score(),
                  Score({5, 6, kMaskId, kMaskId, kMaskId, kMaskId}, {20, 21}) / 6);
}

TEST_F(LateInteractionTest, AnotherFingerprintThanRequiredIsRefused) {
  SetIds({5}, *request_.mutable_query());
  SetIds({20}, *request_.add_documents());
  request_.set_required_fingerprint("xyz");
  const grpc::Status status = ScoreAll();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("required_fingerprint"), HasSubstr("abc")));
  EXPECT_EQ(server_.engine().sequences_run(), 0);
  request_.set_required_fingerprint("abc");
  EXPECT_TRUE(ScoreAll().ok());
}

TEST_F(LateInteractionTest, PairsAndCountsThatDoNotFitAreRefused) {
  SetIds({5}, *request_.mutable_query());
  EXPECT_EQ(ScoreAll().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request_.add_documents()->mutable_text_pair()->set_first("a");
  request_.mutable_documents(0)->mutable_text_pair()->set_second("b");
  ASSERT_TRUE(ScoreAll().ok());
  EXPECT_THAT(response_.results(0).status().message(), HasSubstr("not a pair"));
  request_.set_top_n(2);
  EXPECT_THAT(ScoreAll().error_message(), AllOf(HasSubstr("top_n"), HasSubstr("1 to 1")));
}

TEST_F(LateInteractionTest, AModelWithoutTheHeadIsAFailedPrecondition) {
  TestServer plain;
  SetIds({5}, *request_.mutable_query());
  SetIds({6}, *request_.add_documents());
  const grpc::Status status = ScoreAll(plain);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("late interaction"));
  grpc::ClientContext context, second;
  v1::EncodeRequest request = test_support::IdsRequest({{5}});
  v1::EncodeResponse response;
  request.set_role(v1::INPUT_ROLE_QUERY);
  EXPECT_EQ(plain.NewStub()->Encode(&context, request, &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  request.clear_role();
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_MULTI_VECTOR);
  EXPECT_EQ(plain.NewStub()->Encode(&second, request, &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(LateInteractionTest, GetModelSaysWhatTheHeadIs) {
  grpc::ClientContext context;
  v1::Model model;
  ASSERT_TRUE(server_.NewStub()->GetModel(&context, v1::GetModelRequest(), &model).ok());
  ASSERT_EQ(model.heads_size(), 1);
  EXPECT_EQ(model.heads(0).task(), v1::HEAD_TASK_LATE_INTERACTION);
  EXPECT_EQ(model.heads(0).vector_size(), 3u);
  EXPECT_EQ(model.heads(0).max_query_length(), 6u);
  EXPECT_EQ(model.heads(0).max_document_length(), 7u);
  EXPECT_EQ(model.heads(0).query_expansion_length(), 6u);
}

TEST(ResolveLateInteractionTest, ATokenThatFillsQueriesMustBeKnown) {
  const test_support::FakeTokenizer tokenizer;
  LateInteractionConfig config;
  config.expansion.length = 8;
  EXPECT_THAT(ResolveLateInteraction(config, {}, &tokenizer, 100).status().message(),
              AllOf(HasSubstr("mask_token"), HasSubstr("8")));
  EXPECT_THAT(ResolveLateInteraction(config, {}, nullptr, 100).status().message(),
              HasSubstr("tokenizer.json"));
  const auto end = ResolveLateInteraction(config, {.end = "stop"}, &tokenizer, 100);
  ASSERT_THAT(end, test_support::IsOk());
  EXPECT_EQ((*end)->expansion_id, 14u);
  const auto beyond = ResolveLateInteraction(config, {.end = "stop"}, &tokenizer, 14);
  EXPECT_THAT(beyond.status().message(), AllOf(HasSubstr("token 14"), HasSubstr("vocab_size 14")));
}

// A call that is alone gets memory beyond the budget elsewhere.
TEST(LateInteractionMemoryTest, VectorsOfOneCallStayWithinTheMemoryOfAllCalls) {
  ServerOptions options = TestServer::DefaultOptions();
  options.max_call_memory = 4096;
  TestServer server(options, /*load=*/true, LateInfo());
  v1::ScoreLateInteractionRequest request;
  request.mutable_query()->mutable_token_ids()->add_ids(5);
  for (int i = 0; i < 20; ++i) request.add_documents()->mutable_token_ids()->add_ids(20);
  grpc::ClientContext context;
  v1::ScoreLateInteractionResponse response;
  const grpc::Status status =
      server.NewTaskStub()->ScoreLateInteraction(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_THAT(status.error_message(), HasSubstr("4096"));
}

}  // namespace
}  // namespace contexture
