#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/services/inspect_plan.h"
#include "tests/server/test_server.h"
#include "tests/support/files.h"
#include "tests/support/tiny_model.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using test_support::TestServer;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = grpc::StatusCode::INVALID_ARGUMENT;

std::vector<float> Floats(const v1::Tensor& tensor) {
  std::vector<float> values(tensor.data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.data().data(), tensor.data().size());
  return values;
}

// A server of a real, tiny BERT: 2 layers, 4 heads of 8, at most 40 tokens.
class InspectTest : public ::testing::Test {
 protected:
  InspectTest() {
    EXPECT_THAT(test_support::WriteTinyBert(directory_.path()), IsOk());
    ServerOptions options = TestServer::DefaultOptions();
    options.model = directory_.path();
    options.max_message_bytes = 1 << 16;
    server_ = std::make_unique<TestServer>(options, /*load=*/false);
    EXPECT_THAT(server_->server().Load(), IsOk());
    stub_ = server_->NewStub();
  }
  grpc::Status Inspect(const v1::InspectRequest& request) {
    grpc::ClientContext context;
    response_.Clear();
    return stub_->Inspect(&context, request, &response_);
  }
  static v1::InspectRequest Request(v1::InspectKind kind) {
    v1::InspectRequest request;
    request.mutable_input()->set_text("hello, world.");
    request.add_selections()->set_kind(kind);
    return request;
  }
  void ExpectRefused(const v1::InspectRequest& request, const std::string& field,
                     const std::string& got, const std::string& max) {
    const grpc::Status status = Inspect(request);
    EXPECT_EQ(status.error_code(), kInvalid);
    EXPECT_THAT(status.error_message(), AllOf(HasSubstr(field), HasSubstr(got), HasSubstr(max)));
  }

  test_support::TemporaryDirectory directory_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<v1::EncoderService::Stub> stub_;
  v1::InspectResponse response_;
};

TEST_F(InspectTest, SelectionsAreAnsweredInTheirOrderWithTokens) {
  v1::InspectRequest request = Request(v1::INSPECT_KIND_ATTENTION_WEIGHTS);
  request.mutable_selections(0)->add_layers(1);
  request.mutable_selections(0)->add_heads(3);
  request.mutable_selections(0)->add_heads(0);
  request.add_selections()->set_kind(v1::INSPECT_KIND_LAYER_OUTPUT);
  request.add_selections()->set_kind(v1::INSPECT_KIND_EMBEDDING_SUM);
  ASSERT_TRUE(Inspect(request).ok());
  ASSERT_EQ(response_.tokens_size(), 6);
  EXPECT_EQ(response_.tokens(0).text(), "[CLS]");
  EXPECT_EQ(response_.tokens(1).text(), "hello");
  EXPECT_EQ(response_.tokens(1).id(), 57u);
  ASSERT_EQ(response_.tensors_size(), 2 + 2 + 1);
  EXPECT_EQ(response_.tensors(0).head(), 3u);
  EXPECT_EQ(response_.tensors(1).head(), 0u);
  EXPECT_EQ(response_.tensors(1).layer(), 1u);
  EXPECT_THAT(response_.tensors(1).tensor().shape(), ElementsAre(6, 6));
  EXPECT_FALSE(response_.tensors(2).has_head());
  EXPECT_EQ(response_.tensors(3).layer(), 1u);
  EXPECT_THAT(response_.tensors(3).tensor().shape(), ElementsAre(6, 32));
  EXPECT_FALSE(response_.tensors(4).has_layer());
  EXPECT_EQ(response_.usage().token_count(), 6u);
  for (int head : {0, 1}) {
    const std::vector<float> weights = Floats(response_.tensors(head).tensor());
    for (int i = 0; i < 6; ++i) {
      float sum = 0;
      for (int j = 0; j < 6; ++j) sum += weights[i * 6 + j];
      EXPECT_NEAR(sum, 1.0f, 1e-6f);
    }
  }
}

TEST_F(InspectTest, OutputEqualsTheTokenVectorsOfEncode) {
  ASSERT_TRUE(Inspect(Request(v1::INSPECT_KIND_OUTPUT)).ok());
  v1::EncodeRequest encode;
  encode.add_inputs()->set_text("hello, world.");
  encode.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
  v1::EncodeResponse encoded;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Encode(&context, encode, &encoded).ok());
  EXPECT_EQ(response_.tensors(0).tensor().data(), encoded.results(0).outputs(0).data());
}

TEST_F(InspectTest, AllLayersAndHeadsAreTheDefault) {
  ASSERT_TRUE(Inspect(Request(v1::INSPECT_KIND_QUERY)).ok());
  ASSERT_EQ(response_.tensors_size(), 2 * 4);
  EXPECT_EQ(response_.tensors(5).layer(), 1u);
  EXPECT_EQ(response_.tensors(5).head(), 1u);
}

TEST_F(InspectTest, PositionMatrixNeedsNoInput) {
  v1::InspectRequest request = Request(v1::INSPECT_KIND_POSITION_MATRIX);
  request.clear_input();
  request.mutable_selections(0)->set_num_positions(7);
  ASSERT_TRUE(Inspect(request).ok());
  EXPECT_THAT(response_.tensors(0).tensor().shape(), ElementsAre(7, 32));
  EXPECT_EQ(response_.tokens_size(), 0);
  request.mutable_selections(0)->clear_num_positions();
  ASSERT_TRUE(Inspect(request).ok());
  EXPECT_THAT(response_.tensors(0).tensor().shape(), ElementsAre(40, 32));
}

TEST_F(InspectTest, WhatDoesNotExistIsNamedWithBothValues) {
  v1::InspectRequest request = Request(v1::INSPECT_KIND_QUERY);
  request.mutable_selections(0)->add_layers(2);
  ExpectRefused(request, "selections[0].layers[0]", "layer 2", "has 2");
  request = Request(v1::INSPECT_KIND_QUERY);
  request.mutable_selections(0)->add_heads(0);
  request.mutable_selections(0)->add_heads(9);
  ExpectRefused(request, "selections[0].heads[1]", "head 9", "has 4");
  for (int i = 0; i < 3; ++i) request.mutable_selections(0)->add_heads(0);
  ExpectRefused(request, "selections[0].heads", "5 heads", "has 4");
  request = Request(v1::INSPECT_KIND_LAYER_OUTPUT);
  request.mutable_selections(0)->add_heads(0);
  ExpectRefused(request, "selections[0].heads", "1 given", "no heads");
  request = Request(v1::INSPECT_KIND_POSITION_MATRIX);
  request.mutable_selections(0)->set_num_positions(41);
  ExpectRefused(request, "selections[0].num_positions", "41", "40");
  request = Request(v1::INSPECT_KIND_OUTPUT);
  request.mutable_selections(0)->set_num_positions(4);
  ExpectRefused(request, "selections[0].num_positions", "4 given", "position matrix");
}

TEST_F(InspectTest, FaultsOfTheRequestAreRefused) {
  v1::InspectRequest request = Request(v1::INSPECT_KIND_OUTPUT);
  request.clear_selections();
  ExpectRefused(request, "selections", "no selections", "at least 1");
  for (int i = 0; i <= kMaxSelections; ++i) {
    request.add_selections()->set_kind(v1::INSPECT_KIND_OUTPUT);
  }
  ExpectRefused(request, "selections", "65", "64");
  ExpectRefused(Request(v1::INSPECT_KIND_UNSPECIFIED), "selections[0].kind", "from 1", "15");
  ExpectRefused(Request(static_cast<v1::InspectKind>(99)), "selections[0].kind", "99", "15");
  request = Request(v1::INSPECT_KIND_OUTPUT);
  request.clear_input();
  ExpectRefused(request, "input", "is empty", "token_ids");
  request.mutable_input()->mutable_token_ids()->add_ids(64);
  ExpectRefused(request, "input.token_ids.ids[0]", "64", "64");
  request.set_model("another");
  EXPECT_EQ(Inspect(request).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(InspectTest, AnswerThatAMessageDoesNotHoldIsRefusedBeforeItIsComputed) {
  v1::InspectRequest request = Request(v1::INSPECT_KIND_ATTENTION_WEIGHTS);
  auto& ids = *request.mutable_input()->mutable_token_ids();
  for (int i = 0; i < 40; ++i) ids.add_ids(5);
  request.add_selections()->set_kind(v1::INSPECT_KIND_SCORES);
  // 2 kinds, 2 layers, 4 heads of 40 x 40 floats are 102400 bytes.
  const grpc::Status status = Inspect(request);
  EXPECT_EQ(status.error_code(), kInvalid);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("about 105"), HasSubstr("65536")));
}

TEST(InspectPlanTest, PrecisionThatKeepsNothingIsAFailedPrecondition) {
  const ServedModel model = test_support::FakeServedModel(nullptr);
  v1::InspectRequest request;
  request.mutable_input()->mutable_token_ids()->add_ids(1);
  request.add_selections()->set_kind(v1::INSPECT_KIND_OUTPUT);
  EXPECT_THAT(PlanInspect(request, model),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("precision f32")));
}

}  // namespace
}  // namespace contexture
