// Token vectors and scores of late interaction beside those of sentence-transformers'
// MultiVectorEncoder (make_late_interaction.py), from a served model directory with its tokenizer.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>

#include "contexture/v1/encoder.grpc.pb.h"
#include "contexture/v1/tasks.grpc.pb.h"
#include "server/server.h"
#include "tests/golden/golden_model.h"
#include "tests/golden/golden_tensors.h"
#include "tests/support/files.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::GoldenCases;
using test_support::IsOk;
using Json = nlohmann::json;

// Of vectors, absolute: that of last hidden states, see families_golden_test.cc; of scores, for
// each token of the query. Other precisions: their bounds of vectors there.
struct Bound {
  double vectors;
  double scores;
};

Bound BoundOf(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
    case Precision::kFloat32Split:
      return {5e-5, 5e-5};
    case Precision::kBfloat16:
      return {0.03, 0.03};
    case Precision::kInt8:
      return {0.08, 0.08};
  }
  return {};
}

const GoldenCases& Golden() {
  static const GoldenCases cases("tests/golden/late_interaction");
  return cases;
}

class LateInteractionGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void Serve(Precision precision) {
    ASSERT_THAT(test_support::WriteGoldenModel(Golden().Case(GetParam()), directory_.path()),
                IsOk());
    ServerOptions options;
    options.model = directory_.path();
    options.listen = "127.0.0.1:0";
    options.metrics_listen = "";
    options.threads = 1;
    options.precision = precision;
    lifecycle_ = std::make_unique<Lifecycle>();
    auto server = Server::Bind(options, {logger_, *lifecycle_});
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    ASSERT_THAT(server_->Load(), IsOk());
    bound_ = BoundOf(precision);
  }

  // All texts of a side in one call, so in one batch.
  v1::EncodeResponse Encode(v1::InputRole role, const Json& texts) {
    grpc::ClientContext context;
    v1::EncodeRequest request;
    v1::EncodeResponse response;
    request.set_role(role);
    request.set_truncation(v1::TRUNCATION_RIGHT);
    request.add_outputs()->set_kind(v1::OUTPUT_KIND_MULTI_VECTOR);
    for (const Json& text : texts) request.add_inputs()->set_text(text);
    const grpc::Status status = v1::EncoderService::NewStub(server_->InProcessChannel())
                                    ->Encode(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  void ExpectVectors(const char* side, v1::InputRole role, const Json& texts) {
    const v1::EncodeResponse response = Encode(role, texts);
    ASSERT_EQ(response.results_size(), static_cast<int>(texts.size()));
    for (int i = 0; i < response.results_size(); ++i) {
      ASSERT_FALSE(response.results(i).has_status()) << response.results(i).status().message();
      const std::string name = absl::StrCat(GetParam(), ".", side, ".", i);
      const v1::Tensor& tensor = response.results(i).outputs(0);
      const std::vector<int64_t> shape(tensor.shape().begin(), tensor.shape().end());
      ASSERT_EQ(shape, Golden().tensors.Shape(name)) << name;
      const std::vector<float> expected = Golden().tensors.Floats(name);
      ASSERT_EQ(tensor.data().size(), expected.size() * sizeof(float));
      double worst = 0;
      for (size_t k = 0; k < expected.size(); ++k) {
        float value;
        std::memcpy(&value, tensor.data().data() + k * sizeof(float), sizeof(value));
        worst = std::max(worst, std::abs(double{value} - expected[k]));
      }
      EXPECT_LE(worst, bound_.vectors) << name;
      const v1::EncodeResponse alone = Encode(role, Json::array({texts[i]}));
      EXPECT_TRUE(alone.results(0).outputs(0).data() == tensor.data())
          << name << " has other bits alone";
      worst_vector_ = std::max(worst_vector_, worst);
    }
  }

  void ExpectScores() {
    const std::vector<float> expected = Golden().tensors.Floats(GetParam() + ".scores");
    const Json& queries = Golden().document.at("queries");
    const Json& documents = Golden().document.at("documents");
    for (size_t q = 0; q < queries.size(); ++q) {
      grpc::ClientContext context;
      v1::ScoreLateInteractionRequest request;
      v1::ScoreLateInteractionResponse response;
      request.mutable_query()->set_text(queries[q]);
      request.set_truncation(v1::TRUNCATION_RIGHT);
      for (const Json& document : documents) request.add_documents()->set_text(document);
      const grpc::Status status = v1::TaskService::NewStub(server_->InProcessChannel())
                                      ->ScoreLateInteraction(&context, request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      ASSERT_EQ(response.results_size(), static_cast<int>(documents.size()));
      const double allowed = bound_.scores * response.query_token_count();
      for (int i = 0; i < response.results_size(); ++i) {
        const v1::RankedDocument& result = response.results(i);
        ASSERT_FALSE(result.has_status()) << result.status().message();
        const float wanted = expected[q * documents.size() + result.index()];
        EXPECT_NEAR(result.score(), wanted, allowed) << q << " " << result.index();
        if (i > 0) {
          EXPECT_LE(result.score(), response.results(i - 1).score());
        }
        worst_score_ = std::max(worst_score_, std::abs(double{result.score()} - wanted));
      }
    }
  }

  void ExpectAll() {
    ExpectVectors("query", v1::INPUT_ROLE_QUERY, Golden().document.at("queries"));
    ExpectVectors("document", v1::INPUT_ROLE_DOCUMENT, Golden().document.at("documents"));
    ExpectScores();
    std::printf("%s: worst vector element %.3g, worst score %.3g\n", GetParam().c_str(),
                worst_vector_, worst_score_);
  }

  test_support::TemporaryDirectory directory_;
  Logger logger_{LogFormat::kText, ::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  std::unique_ptr<Lifecycle> lifecycle_;  // of `server_`
  std::unique_ptr<Server> server_;
  Bound bound_ = {};
  double worst_vector_ = 0, worst_score_ = 0;
};

TEST_P(LateInteractionGoldenTest, VectorsAndScoresAreThoseOfMultiVectorEncoder) {
  ASSERT_NO_FATAL_FAILURE(Serve(Precision::kFloat32));
  ExpectAll();
}

TEST_P(LateInteractionGoldenTest, EveryPrecisionOfThisMachineStaysWithinItsBound) {
  for (Precision precision : {Precision::kFloat32Split, Precision::kBfloat16, Precision::kInt8}) {
    const auto directory = [&] {
      EXPECT_THAT(test_support::WriteGoldenModel(Golden().Case(GetParam()), directory_.path()),
                  IsOk());
      return LoadModelDirectory(directory_.path());
    }();
    ASSERT_THAT(directory, IsOk());
    if (!CheckPrecision(directory->config, precision).ok()) continue;
    ASSERT_NO_FATAL_FAILURE(Serve(precision)) << Name(precision);
    ExpectAll();
    server_.reset();
  }
}

TEST_P(LateInteractionGoldenTest, QueriesAreNotFilledUpBeyondWhatIsServed) {
  ASSERT_THAT(test_support::WriteGoldenModel(Golden().Case(GetParam()), directory_.path()), IsOk());
  auto directory = LoadModelDirectory(directory_.path());
  ASSERT_THAT(directory, IsOk());
  const int expanded = directory->late_interaction->expansion.length;
  if (expanded < 2) GTEST_SKIP() << "queries are not filled up";
  const auto engine = LoadEngine(*std::move(directory), {.max_sequence_tokens = expanded - 1});
  EXPECT_THAT(engine.status(),
              test_support::StatusIs(
                  absl::StatusCode::kInvalidArgument,
                  testing::HasSubstr(absl::StrCat("filled up to ", expanded,
                                                  " tokens, but the model takes ", expanded - 1))));
}

INSTANTIATE_TEST_SUITE_P(Cases, LateInteractionGoldenTest, testing::ValuesIn(Golden().CaseNames()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace contexture
