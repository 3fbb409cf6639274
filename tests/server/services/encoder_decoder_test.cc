#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/test_server.h"
#include "tests/support/files.h"
#include "tests/support/tiny_transformer.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::TestServer;
using test_support::TinyTransformerOptions;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<uint32_t>;

// A server of a real, tiny transformer.
class TransformerServiceTest : public ::testing::Test {
 protected:
  void Serve(const TinyTransformerOptions& model) {
    ASSERT_THAT(test_support::WriteTinyTransformer(directory_.path(), model), IsOk());
    ServerOptions options = TestServer::DefaultOptions();
    options.model = directory_.path();
    server_ = std::make_unique<TestServer>(options, /*load=*/false);
    ASSERT_THAT(server_->server().Load(), IsOk());
    stub_ = server_->NewStub();
  }
  v1::TokenIds& Add(const Ids& source, const Ids& target = {}) {
    v1::Input& input = *request_.add_inputs();
    input.mutable_token_ids()->mutable_ids()->Assign(source.begin(), source.end());
    if (!target.empty())
      input.mutable_target()->mutable_ids()->Assign(target.begin(), target.end());
    return *input.mutable_token_ids();
  }
  v1::EncodeResponse Encode() {
    request_.clear_outputs();
    request_.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
    v1::EncodeResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->Encode(&context, request_, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    request_.Clear();
    return response;
  }

  test_support::TemporaryDirectory directory_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<v1::EncoderService::Stub> stub_;
  v1::EncodeRequest request_;
};

TEST_F(TransformerServiceTest, TargetsAreAnsweredWithTheirVectorsTogetherAsAlone) {
  Serve({.num_decoder_layers = 2});
  Add({1, 2, 3, 4, 5}, {7, 8});
  Add({6}, {9, 10, 11});
  Add({1, 2});
  const v1::EncodeResponse together = Encode();
  ASSERT_EQ(together.results_size(), 3);
  EXPECT_THAT(together.results(0).outputs(0).shape(), ElementsAre(2, 16));
  EXPECT_THAT(together.results(0).token_ids(), ElementsAre(7, 8));
  EXPECT_EQ(together.results(0).token_count(), 7u);
  EXPECT_THAT(together.results(1).outputs(0).shape(), ElementsAre(3, 16));
  EXPECT_EQ(together.results(2).status().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(together.results(2).status().message(), HasSubstr("inputs[2].target"));
  EXPECT_EQ(together.usage().token_count(), 11u);
  Add({6}, {9, 10, 11});
  EXPECT_EQ(Encode().results(0).outputs(0).data(), together.results(1).outputs(0).data());
  Add({5}, {9, 10, 11});
  EXPECT_NE(Encode().results(0).outputs(0).data(), together.results(1).outputs(0).data())
      << "another source";
  Add({6}, {9, 10, 12});
  EXPECT_NE(Encode().results(0).outputs(0).data(), together.results(1).outputs(0).data())
      << "another target";
}

TEST_F(TransformerServiceTest, ModelTellsOfItsDecoderAndIsNotInspected) {
  Serve({.num_decoder_layers = 2});
  v1::Model model;
  grpc::ClientContext model_context, context;
  ASSERT_TRUE(stub_->GetModel(&model_context, {}, &model).ok());
  EXPECT_EQ(model.model_type(), "transformer_encoder_decoder");
  EXPECT_EQ(model.num_decoder_layers(), 2u);
  EXPECT_EQ(model.target_vocabulary_size(), 30u);
  EXPECT_FALSE(model.has_sparse_positions());
  v1::InspectRequest request;
  request.mutable_input()->mutable_token_ids()->add_ids(1);
  request.add_selections()->set_kind(v1::INSPECT_KIND_OUTPUT);
  v1::InspectResponse response;
  EXPECT_EQ(stub_->Inspect(&context, request, &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(TransformerServiceTest, TokensStandAtTheirSparsePositions) {
  Serve({.positional_encoding = "sparse"});
  Add({1, 2, 3});
  auto& positions = *Add({1, 2, 3}).mutable_positions();
  for (uint32_t position : {0, 1, 2}) positions.Add(position);
  auto& others = *Add({1, 2, 3}).mutable_positions();
  for (uint32_t position : {15, 0, 4}) others.Add(position);
  const v1::EncodeResponse response = Encode();
  EXPECT_EQ(response.results(0).outputs(0).data(), response.results(1).outputs(0).data());
  EXPECT_NE(response.results(0).outputs(0).data(), response.results(2).outputs(0).data());
  v1::Model model;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->GetModel(&context, {}, &model).ok());
  EXPECT_TRUE(model.has_sparse_positions());
  EXPECT_EQ(model.max_position(), 15u);
}

}  // namespace
}  // namespace contexture
