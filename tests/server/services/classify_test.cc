#include <cmath>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/test_server.h"

namespace contexture {
namespace {

using test_support::FakeClassifier;
using test_support::FakeEngineInfo;
using test_support::FakeLogit;
using test_support::TestServer;
using ::testing::AllOf;
using ::testing::HasSubstr;

EngineInfo InfoWith(const std::vector<HeadConfig>& heads) {
  EngineInfo info = FakeEngineInfo();
  info.config.heads = heads;
  return info;
}

class ClassifyTest : public ::testing::Test {
 protected:
  void AddIds(const std::vector<uint32_t>& ids) {
    request_.add_inputs()->mutable_token_ids()->mutable_ids()->Assign(ids.begin(), ids.end());
  }
  grpc::Status Classify() { return Classify(server_); }
  grpc::Status Classify(TestServer& server) {
    grpc::ClientContext context;
    response_.Clear();
    return server.NewTaskStub()->Classify(&context, request_, &response_);
  }
  void ExpectRefused(grpc::StatusCode code, const std::vector<std::string>& parts) {
    const grpc::Status status = Classify();
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    for (const std::string& part : parts) EXPECT_THAT(status.error_message(), HasSubstr(part));
  }

  TestServer server_{TestServer::DefaultOptions(), /*load=*/true,
                     InfoWith({FakeClassifier({"good", "bad", "neither"})})};
  v1::ClassifyRequest request_;
  v1::ClassifyResponse response_;
};

TEST_F(ClassifyTest, LabelsComeWithTheirSoftmaxFromTheHighestToTheLowest) {
  AddIds({5, 6});
  ASSERT_TRUE(Classify().ok());
  ASSERT_EQ(response_.results_size(), 1);
  const v1::Classification& result = response_.results(0);
  ASSERT_EQ(result.labels_size(), 3);
  double sum = 0;
  for (int d = 0; d < 3; ++d) sum += std::exp(FakeLogit({5, 6}, d));
  double total = 0;
  for (int i = 0; i < 3; ++i) {
    const v1::LabelScore& label = result.labels(i);
    EXPECT_EQ(label.label(), (std::vector<std::string>{"good", "bad", "neither"})[label.id()]);
    EXPECT_NEAR(label.score(), std::exp(FakeLogit({5, 6}, static_cast<int>(label.id()))) / sum,
                1e-6);
    if (i > 0) {
      EXPECT_LE(label.score(), result.labels(i - 1).score());
    }
    total += label.score();
  }
  EXPECT_NEAR(total, 1.0, 1e-6);
  EXPECT_EQ(result.token_count(), 2u);
  EXPECT_EQ(response_.usage().token_count(), 2u);
  EXPECT_EQ(response_.fingerprint(), "abc");
}

TEST_F(ClassifyTest, FunctionsAreAppliedAsAskedFor) {
  AddIds({5, 7});
  request_.set_score_function(v1::SCORE_FUNCTION_NONE);
  ASSERT_TRUE(Classify().ok());
  for (const v1::LabelScore& label : response_.results(0).labels()) {
    EXPECT_EQ(label.score(), FakeLogit({5, 7}, static_cast<int>(label.id())));
  }
  request_.set_score_function(v1::SCORE_FUNCTION_SIGMOID);
  ASSERT_TRUE(Classify().ok());
  for (const v1::LabelScore& label : response_.results(0).labels()) {
    const double logit = FakeLogit({5, 7}, static_cast<int>(label.id()));
    EXPECT_NEAR(label.score(), 1 / (1 + std::exp(-logit)), 1e-6);
  }
}

TEST_F(ClassifyTest, TopKLeavesTheBestLabelsAlone) {
  AddIds({5, 6});
  ASSERT_TRUE(Classify().ok());
  const v1::LabelScore best = response_.results(0).labels(0);
  request_.set_top_k(1);
  ASSERT_TRUE(Classify().ok());
  ASSERT_EQ(response_.results(0).labels_size(), 1);
  EXPECT_EQ(response_.results(0).labels(0).id(), best.id());
}

TEST_F(ClassifyTest, TopKOfZeroOrMoreThanTheLabelsIsRefusedWithBothValues) {
  AddIds({5});
  request_.set_top_k(0);
  ExpectRefused(grpc::StatusCode::INVALID_ARGUMENT, {"top_k", "0 asked for", "1 to 3"});
  request_.set_top_k(4);
  ExpectRefused(grpc::StatusCode::INVALID_ARGUMENT, {"top_k", "4 asked for", "1 to 3"});
}

TEST_F(ClassifyTest, TextsAndPairsAreTokenized) {
  request_.add_inputs()->set_text("one two");
  auto& pair = *request_.add_inputs()->mutable_text_pair();
  pair.set_first("one");
  pair.set_second("three");
  request_.set_score_function(v1::SCORE_FUNCTION_NONE);
  request_.set_top_k(1);
  ASSERT_TRUE(Classify().ok());
  EXPECT_EQ(response_.results(0).token_count(), 4u);
  EXPECT_EQ(response_.results(1).token_count(), 5u);
  const v1::LabelScore& label = response_.results(1).labels(0);
  EXPECT_EQ(label.score(), FakeLogit({1, 13, 2, 15, 2}, static_cast<int>(label.id())));
}

TEST_F(ClassifyTest, ABadInputFailsAlone) {
  AddIds({5});
  AddIds({500});
  request_.add_inputs()->set_text("");
  ASSERT_TRUE(Classify().ok());
  ASSERT_EQ(response_.results_size(), 3);
  EXPECT_FALSE(response_.results(0).has_status());
  EXPECT_EQ(response_.results(1).status().code(), int{grpc::StatusCode::INVALID_ARGUMENT});
  EXPECT_THAT(response_.results(1).status().message(),
              AllOf(HasSubstr("inputs[1]"), HasSubstr("500"), HasSubstr("100")));
  EXPECT_EQ(response_.results(1).labels_size(), 0);
  EXPECT_THAT(response_.results(2).status().message(), HasSubstr("inputs[2].text"));
  EXPECT_EQ(response_.usage().token_count(), 1u);
}

TEST_F(ClassifyTest, AnInputWhoseOutputIsNotFiniteFailsAlone) {
  AddIds({5});
  AddIds({test_support::kPoisonId});
  ASSERT_TRUE(Classify().ok());
  EXPECT_FALSE(response_.results(0).has_status());
  EXPECT_EQ(response_.results(1).status().code(), int{grpc::StatusCode::INTERNAL});
}

TEST_F(ClassifyTest, AModelWithoutTheHeadIsAFailedPrecondition) {
  TestServer plain;
  AddIds({5});
  const grpc::Status status = Classify(plain);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(),
              AllOf(HasSubstr("no sequence classification head"), HasSubstr("none")));
}

TEST_F(ClassifyTest, RequestsThatAreWrongAsAWholeAreRefused) {
  ExpectRefused(grpc::StatusCode::INVALID_ARGUMENT, {"inputs", "no inputs", "at least 1"});
  AddIds({5});
  request_.set_model("other");
  ExpectRefused(grpc::StatusCode::NOT_FOUND, {"model", "fake"});
  request_.clear_model();
  request_.set_required_fingerprint("xyz");
  ExpectRefused(grpc::StatusCode::FAILED_PRECONDITION, {"required_fingerprint", "abc"});
  request_.clear_required_fingerprint();
  request_.set_score_function(static_cast<v1::ScoreFunction>(9));
  ExpectRefused(grpc::StatusCode::INVALID_ARGUMENT, {"score_function", "9", "4"});
  request_.clear_score_function();
  request_.set_truncation(static_cast<v1::Truncation>(7));
  ExpectRefused(grpc::StatusCode::INVALID_ARGUMENT, {"truncation", "7"});
  request_.clear_truncation();
  EXPECT_TRUE(Classify().ok());
}

TEST_F(ClassifyTest, TruncationCutsAndSaysSo) {
  request_.add_inputs()->set_text("a b c d e f g h i j");
  ASSERT_TRUE(Classify().ok());
  EXPECT_THAT(response_.results(0).status().message(), AllOf(HasSubstr("12"), HasSubstr("8")));
  request_.set_truncation(v1::TRUNCATION_RIGHT);
  ASSERT_TRUE(Classify().ok());
  EXPECT_TRUE(response_.results(0).truncated());
  EXPECT_EQ(response_.results(0).token_count(), 8u);
  EXPECT_EQ(response_.results(0).original_token_count(), 12u);
}

TEST_F(ClassifyTest, DeadlinesHoldAsForEncode) {
  AddIds({5});
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  server_.engine().Pause();
  const grpc::Status status = server_.NewTaskStub()->Classify(&context, request_, &response_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  server_.engine().Resume();
}

TEST_F(ClassifyTest, AServerThatDrainsOrStartsAnswersUnavailable) {
  TestServer starting(TestServer::DefaultOptions(), /*load=*/false);
  AddIds({5});
  EXPECT_EQ(Classify(starting).error_code(), grpc::StatusCode::UNAVAILABLE);
}

class RerankTest : public ::testing::Test {
 protected:
  grpc::Status Rerank() { return Rerank(server_); }
  grpc::Status Rerank(TestServer& server) {
    grpc::ClientContext context;
    response_.Clear();
    return server.NewTaskStub()->Rerank(&context, request_, &response_);
  }
  void ExpectRefused(grpc::StatusCode code, const std::vector<std::string>& parts) {
    const grpc::Status status = Rerank();
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    for (const std::string& part : parts) EXPECT_THAT(status.error_message(), HasSubstr(part));
  }
  // Of the fake tokenizer's pair of a query of one word of WORD_BYTES and a document of one word.
  static float Logit(uint32_t query_bytes, uint32_t document_bytes) {
    return FakeLogit({1, 10 + query_bytes, 2, 10 + document_bytes, 2}, 0);
  }

  TestServer server_{TestServer::DefaultOptions(), /*load=*/true,
                     InfoWith({FakeClassifier({"relevant"})})};
  v1::RerankRequest request_;
  v1::RerankResponse response_;
};

TEST_F(RerankTest, DocumentsComeFromTheHighestScoreToTheLowest) {
  request_.set_query("abc");
  for (const char* document : {"a", "ab", "abc", "abcd"}) request_.add_documents(document);
  ASSERT_TRUE(Rerank().ok());
  ASSERT_EQ(response_.results_size(), 4);
  std::vector<bool> seen(4);
  for (int i = 0; i < 4; ++i) {
    const v1::RankedDocument& result = response_.results(i);
    const double logit = Logit(3, result.index() + 1);
    EXPECT_NEAR(result.score(), 1 / (1 + std::exp(-logit)), 1e-6);
    if (i > 0) {
      EXPECT_LE(result.score(), response_.results(i - 1).score());
    }
    EXPECT_EQ(result.token_count(), 5u);
    seen[result.index()] = true;
  }
  EXPECT_THAT(seen, testing::Each(true));
  EXPECT_EQ(response_.usage().token_count(), 20u);
  EXPECT_EQ(response_.fingerprint(), "abc");
}

TEST_F(RerankTest, TopNLeavesTheBestAndABadDocumentFailsAlone) {
  request_.set_query("abc");
  for (const char* document : {"a", "", "abc"}) request_.add_documents(document);
  request_.set_score_function(v1::SCORE_FUNCTION_NONE);
  request_.set_top_n(1);
  ASSERT_TRUE(Rerank().ok());
  ASSERT_EQ(response_.results_size(), 2);
  EXPECT_EQ(response_.results(0).score(), std::max(Logit(3, 1), Logit(3, 3)));
  EXPECT_EQ(response_.results(1).index(), 1u);
  EXPECT_EQ(response_.results(1).status().code(), int{grpc::StatusCode::INVALID_ARGUMENT});
  EXPECT_THAT(response_.results(1).status().message(), HasSubstr("documents[1]"));
}

TEST_F(RerankTest, BadRequestsAreRefused) {
  request_.set_query("abc");
  ExpectRefused(grpc::StatusCode::INVALID_ARGUMENT, {"documents", "at least 1"});
  request_.add_documents("a");
  request_.set_top_n(2);
  ExpectRefused(grpc::StatusCode::INVALID_ARGUMENT, {"top_n", "2 asked for", "1 to 1"});
  request_.set_top_n(0);
  ExpectRefused(grpc::StatusCode::INVALID_ARGUMENT, {"top_n", "0 asked for"});
  request_.clear_top_n();
  request_.set_query("");
  ExpectRefused(grpc::StatusCode::INVALID_ARGUMENT, {"query", "empty"});
  request_.set_query("abc");
  request_.set_score_function(v1::SCORE_FUNCTION_SOFTMAX);
  ExpectRefused(grpc::StatusCode::INVALID_ARGUMENT, {"score_function", "one label"});
}

TEST_F(RerankTest, AHeadOfSeveralLabelsDoesNotRank) {
  TestServer server(TestServer::DefaultOptions(), /*load=*/true,
                    InfoWith({FakeClassifier({"yes", "no"})}));
  request_.set_query("abc");
  request_.add_documents("a");
  const grpc::Status status = Rerank(server);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("2 labels"), HasSubstr("1")));
}

// Calls that come while the only worker is busy are computed together when it is free. Whether both
// came in time is up to the threads, so it is tried again until they did.
TEST(SharedBatchTest, ClassifyAndEncodeAreComputedInOneBatch) {
  ServerOptions options = TestServer::DefaultOptions();
  options.threads = 1;
  TestServer server(options, /*load=*/true, InfoWith({FakeClassifier({"good", "bad"})}));
  const auto shared = [&] {
    for (int size : server.engine().batch_sizes()) {
      if (size == 2) return true;
    }
    return false;
  };
  for (uint32_t attempt = 0; attempt < 200 && !shared(); ++attempt) {
    const auto encode = [&](uint32_t id) {
      grpc::ClientContext context;
      v1::EncodeResponse response;
      EXPECT_TRUE(server.NewStub()
                      ->Encode(&context, test_support::IdsRequest({{id, attempt % 50}}), &response)
                      .ok());
      EXPECT_EQ(response.results(0).outputs(0).data(),
                test_support::FakePooled({id, attempt % 50}));
    };
    server.engine().Pause();
    std::thread holder(encode, 1);
    server.engine().AwaitPausedRun();
    std::thread encoded(encode, 2);
    std::thread classified([&] {
      grpc::ClientContext context;
      v1::ClassifyRequest request;
      v1::ClassifyResponse response;
      request.add_inputs()->mutable_token_ids()->add_ids(3);
      request.set_score_function(v1::SCORE_FUNCTION_NONE);
      EXPECT_TRUE(server.NewTaskStub()->Classify(&context, request, &response).ok());
      const v1::LabelScore& best = response.results(0).labels(0);
      EXPECT_EQ(best.score(), FakeLogit({3}, static_cast<int>(best.id())));
    });
    for (int i = 0; i < 20; ++i) {  // gives them time
      grpc::ClientContext context;
      v1::Model model;
      server.NewStub()->GetModel(&context, v1::GetModelRequest(), &model);
    }
    server.engine().Resume();
    holder.join();
    encoded.join();
    classified.join();
  }
  EXPECT_TRUE(shared());
}

}  // namespace
}  // namespace contexture
