// The answers of TaskService beside those of transformers' pipelines and sentence-transformers'
// CrossEncoder (make_tasks.py), from a served model directory with its tokenizer.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "contexture/v1/tasks.grpc.pb.h"
#include "server/server.h"
#include "tests/golden/golden_model.h"
#include "tests/golden/golden_tensors.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using Json = nlohmann::json;

// Of scores, absolute: that of last hidden states, see families_golden_test.cc.
constexpr double kTolerance = 5e-5;

const Json& Document() {
  static const Json document =
      Json::parse(test_support::ReadBytes("tests/golden/tasks.json").value());
  return document;
}

class TasksGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const Json& cases = Document().at("cases");
    case_ = *std::find_if(cases.begin(), cases.end(),
                          [](const Json& c) { return c.at("name") == GetParam(); });
    ASSERT_THAT(test_support::WriteGoldenModel(case_, directory_.path()), IsOk());
    ServerOptions options;
    options.model = directory_.path();
    options.listen = "127.0.0.1:0";
    options.metrics_listen = "";
    options.threads = 1;
    options.precision = Precision::kFloat32;
    auto server = Server::Bind(options, {logger_, lifecycle_});
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    ASSERT_THAT(server_->Load(), IsOk());
    stub_ = v1::TaskService::NewStub(server_->InProcessChannel());
  }

  bool Has(const char* task) const { return case_.contains(task); }

  void ExpectEntities(const std::string& name, v1::Aggregation aggregation) {
    grpc::ClientContext context;
    v1::ClassifyTokensRequest request;
    v1::ClassifyTokensResponse response;
    request.set_aggregation(aggregation);
    request.set_truncation(v1::TRUNCATION_RIGHT);
    for (const Json& text : Document().at("texts")) request.add_inputs()->set_text(text);
    const grpc::Status status = stub_->ClassifyTokens(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    const Json& expected = case_.at("tag").at(name);
    ASSERT_EQ(response.results_size(), static_cast<int>(expected.size()));
    for (int i = 0; i < response.results_size(); ++i) {
      const v1::TokenClassification& result = response.results(i);
      ASSERT_FALSE(result.has_status()) << result.status().message();
      ASSERT_EQ(result.entities_size(), static_cast<int>(expected[i].size())) << name << " " << i;
      for (int e = 0; e < result.entities_size(); ++e) {
        const v1::Entity& entity = result.entities(e);
        const Json& wanted = expected[i][e];
        EXPECT_EQ(entity.label(), wanted.at("label")) << name << " " << i << " " << e;
        EXPECT_EQ(entity.begin(), wanted.at("begin")) << name << " " << i << " " << e;
        EXPECT_EQ(entity.end(), wanted.at("end")) << name << " " << i << " " << e;
        EXPECT_NEAR(entity.score(), wanted.at("score").get<double>(), kTolerance);
      }
    }
  }

  void ExpectLabels(const std::string& name, v1::ScoreFunction function) {
    grpc::ClientContext context;
    v1::ClassifyRequest request;
    v1::ClassifyResponse response;
    request.set_score_function(function);
    for (const Json& text : Document().at("texts")) request.add_inputs()->set_text(text);
    const grpc::Status status = stub_->Classify(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    const Json& expected = case_.at("classify").at(name);
    ASSERT_EQ(response.results_size(), static_cast<int>(expected.size()));
    for (int i = 0; i < response.results_size(); ++i) {
      const v1::Classification& result = response.results(i);
      ASSERT_EQ(result.labels_size(), static_cast<int>(expected[i].size())) << name << " " << i;
      for (int k = 0; k < result.labels_size(); ++k) {
        EXPECT_EQ(result.labels(k).label(), expected[i][k].at("label")) << name << " " << i;
        EXPECT_NEAR(result.labels(k).score(), expected[i][k].at("score").get<double>(), kTolerance);
      }
    }
  }

  void ExpectRanks() {
    grpc::ClientContext context;
    v1::RerankRequest request;
    v1::RerankResponse response;
    const Json& expected = case_.at("rank");
    request.set_query(expected.at("query"));
    request.set_truncation(v1::TRUNCATION_RIGHT);
    for (const Json& document : expected.at("documents")) request.add_documents(document);
    const grpc::Status status = stub_->Rerank(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(response.results_size(), static_cast<int>(expected.at("ranks").size()));
    for (int i = 0; i < response.results_size(); ++i) {
      const Json& wanted = expected.at("ranks")[i];
      ASSERT_FALSE(response.results(i).has_status()) << response.results(i).status().message();
      EXPECT_EQ(response.results(i).index(), wanted.at("index")) << i;
      EXPECT_NEAR(response.results(i).score(), wanted.at("score").get<double>(), kTolerance);
    }
  }

  void ExpectFillings() {
    for (const Json& filled : case_.at("fill_mask")) {
      grpc::ClientContext context;
      v1::FillMaskRequest request;
      v1::FillMaskResponse response;
      request.set_top_k(4);
      request.add_inputs()->set_text(filled.at("text"));
      const grpc::Status status = stub_->FillMask(&context, request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      ASSERT_FALSE(response.results(0).has_status()) << response.results(0).status().message();
      const Json& masks = filled.at("masks");
      ASSERT_EQ(response.results(0).masks_size(), static_cast<int>(masks.size()));
      for (size_t m = 0; m < masks.size(); ++m) {
        const v1::MaskedToken& mask = response.results(0).masks(static_cast<int>(m));
        ASSERT_EQ(mask.predictions_size(), 4);
        for (int k = 0; k < 4; ++k) {
          EXPECT_EQ(mask.predictions(k).token_id(), masks[m][k].at("token"));
          EXPECT_EQ(mask.predictions(k).text(), masks[m][k].at("text"));
          EXPECT_NEAR(mask.predictions(k).score(), masks[m][k].at("score").get<double>(),
                      kTolerance);
        }
      }
    }
  }

  test_support::TemporaryDirectory directory_;
  Json case_;
  Logger logger_{LogFormat::kText, ::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  Lifecycle lifecycle_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::TaskService::Stub> stub_;
};

TEST_P(TasksGoldenTest, AnswersAreThoseOfThePipelinesAndOfCrossEncoder) {
  if (Has("tag")) {
    ExpectEntities("none", v1::AGGREGATION_NONE);
    ExpectEntities("simple", v1::AGGREGATION_SIMPLE);
    ExpectEntities("first", v1::AGGREGATION_FIRST);
    ExpectEntities("average", v1::AGGREGATION_AVERAGE);
    ExpectEntities("max", v1::AGGREGATION_MAX);
  }
  if (Has("classify")) {
    ExpectLabels("None", v1::SCORE_FUNCTION_MODEL_DEFAULT);
    ExpectLabels("softmax", v1::SCORE_FUNCTION_SOFTMAX);
    ExpectLabels("sigmoid", v1::SCORE_FUNCTION_SIGMOID);
    ExpectLabels("none", v1::SCORE_FUNCTION_NONE);
  }
  if (Has("rank")) ExpectRanks();
  if (Has("fill_mask")) ExpectFillings();
}

std::vector<std::string> CaseNames() {
  std::vector<std::string> names;
  for (const Json& c : Document().at("cases")) names.push_back(c.at("name"));
  return names;
}

INSTANTIATE_TEST_SUITE_P(Cases, TasksGoldenTest, testing::ValuesIn(CaseNames()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace contexture
