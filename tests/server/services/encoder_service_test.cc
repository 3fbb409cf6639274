#include "server/services/encoder_service.h"

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "tests/server/services/encoder_service_fixture.h"

namespace contexture {
namespace {

using test_support::FakePooled;
using test_support::IdsRequest;
using test_support::kPoisonId;
using test_support::TextRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EncoderServiceTest : public test_support::EncoderServiceFixture {};

TEST_F(EncoderServiceTest, ResultsAreInTheOrderOfInputs) {
  v1::EncodeRequest request;
  for (uint32_t i = 0; i < 50; ++i) {
    if (i % 3 == 0) {
      request.add_inputs()->set_text(std::string(i + 1, 'a'));
    } else {
      auto& ids = *request.add_inputs()->mutable_token_ids();
      for (uint32_t k = 0; k <= i % 16; ++k) ids.add_ids(i);
    }
  }
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(request, response).ok());
  ASSERT_EQ(response.results_size(), 50);
  uint64_t tokens = 0;
  for (uint32_t i = 0; i < 50; ++i) {
    const v1::Result& result = response.results(i);
    std::vector<uint32_t> ids(i % 16 + 1, i);
    if (i % 3 == 0) ids = {1, 11 + i, 2};
    EXPECT_FALSE(result.has_status());
    EXPECT_EQ(result.token_count(), ids.size());
    EXPECT_EQ(result.original_token_count(), ids.size());
    EXPECT_THAT(result.outputs(0).shape(), ElementsAre(4));
    EXPECT_EQ(result.outputs(0).data(), FakePooled(ids)) << i;
    tokens += ids.size();
  }
  EXPECT_EQ(response.usage().token_count(), tokens);
  EXPECT_GT(response.usage().compute_seconds(), 0);
}

TEST_F(EncoderServiceTest, TokenVectorsComeWithTheirIds) {
  v1::EncodeRequest request = IdsRequest({{5, 6, 7}});
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
  auto& pooled = *request.add_outputs();
  pooled.set_dimensions(2);
  pooled.set_data_type(v1::DATA_TYPE_FLOAT16);
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(request, response).ok());
  const v1::Result& result = response.results(0);
  EXPECT_THAT(result.token_ids(), ElementsAre(5, 6, 7));
  EXPECT_THAT(result.outputs(0).shape(), ElementsAre(3, 4));
  EXPECT_EQ(result.outputs(0).data(), FakePooled({5}) + FakePooled({6}) + FakePooled({7}));
  EXPECT_THAT(result.outputs(1).shape(), ElementsAre(2));
  EXPECT_EQ(result.outputs(1).data().size(), 4u);
  EXPECT_EQ(result.outputs(1).data_type(), v1::DATA_TYPE_FLOAT16);
}

TEST_F(EncoderServiceTest, TokensOfTextsComeWithTheirBytes) {
  v1::EncodeRequest request = TextRequest({"a bb"});
  request.add_inputs()->mutable_text_pair()->set_first("ccc");
  request.mutable_inputs(1)->mutable_text_pair()->set_second("d");
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(request, response).ok());
  const v1::Result& text = response.results(0);
  EXPECT_THAT(text.token_ids(), ElementsAre(1, 11, 12, 2));
  EXPECT_THAT(text.token_begins(), ElementsAre(0, 0, 2, 0));
  EXPECT_THAT(text.token_ends(), ElementsAre(0, 1, 4, 0));
  EXPECT_THAT(text.special_tokens_mask(), ElementsAre(true, false, false, true));
  EXPECT_TRUE(text.token_sequence_ids().empty());
  EXPECT_THAT(response.results(1).token_sequence_ids(), ElementsAre(0, 0, 0, 1, 0));
  EXPECT_THAT(response.results(1).token_ends(), ElementsAre(0, 3, 0, 1, 0));
}

TEST_F(EncoderServiceTest, SpansComeWithTheirTokensAndBytes) {
  v1::EncodeRequest request = TextRequest({"a bb ccc"});
  request.mutable_inputs(0)->set_span_unit(v1::SPAN_UNIT_BYTES);
  for (uint32_t begin : {0, 3}) {
    v1::Span& span = *request.mutable_inputs(0)->add_spans();
    span.set_begin(begin);
    span.set_end(begin + 3);
  }
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_SPANS);
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_SPANS);
  request.mutable_outputs(1)->mutable_windows()->set_size(2);
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(request, response).ok());
  const v1::Result& result = response.results(0);
  ASSERT_FALSE(result.has_status()) << result.status().message();
  EXPECT_THAT(result.outputs(0).shape(), ElementsAre(2, 4));
  EXPECT_EQ(result.outputs(0).data(), FakePooled({11, 12}) + FakePooled({12, 13}));
  EXPECT_EQ(result.outputs(1).data(), FakePooled({11, 12}) + FakePooled({13}));
  ASSERT_EQ(result.spans_size(), 2);
  EXPECT_THAT(result.spans(0).token_begins(), ElementsAre(1, 2));
  EXPECT_THAT(result.spans(0).token_ends(), ElementsAre(3, 4));
  EXPECT_THAT(result.spans(0).byte_begins(), ElementsAre(0, 2));
  EXPECT_THAT(result.spans(0).byte_ends(), ElementsAre(4, 8));
  EXPECT_THAT(result.spans(1).token_begins(), ElementsAre(1, 3));
  EXPECT_TRUE(result.token_ids().empty());
}

// Equal tokens, but not the same spans, layer or ranges.
TEST_F(EncoderServiceTest, OutputsOfOneTextThatDifferAreNotShared) {
  v1::EncodeRequest request = IdsRequest({{5, 6, 7}, {5, 6, 7}});
  for (uint32_t i : {0, 1}) {
    request.mutable_inputs(i)->add_spans()->set_begin(i);
    request.mutable_inputs(i)->mutable_spans(0)->set_end(i + 2);
  }
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_SPANS);
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(request, response).ok());
  EXPECT_EQ(response.results(0).outputs(0).data(), FakePooled({5, 6}));
  EXPECT_EQ(response.results(1).outputs(0).data(), FakePooled({6, 7}));
}

TEST_F(EncoderServiceTest, BadInputFailsAlone) {
  v1::EncodeRequest request = IdsRequest({{1, 2}, {100}, {3}, {kPoisonId}, {}});
  request.add_inputs()->set_text("");
  request.add_inputs()->set_text("bb");
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(request, response).ok());
  ASSERT_EQ(response.results_size(), 7);
  EXPECT_EQ(response.results(0).outputs(0).data(), FakePooled({1, 2}));
  EXPECT_EQ(response.results(1).status().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(response.results(1).status().message(), HasSubstr("inputs[1]"));
  EXPECT_EQ(response.results(2).outputs(0).data(), FakePooled({3}));
  EXPECT_EQ(response.results(3).status().code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(response.results(3).outputs_size(), 0);
  EXPECT_EQ(response.results(4).status().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(response.results(5).status().message(), HasSubstr("inputs[5].text"));
  EXPECT_EQ(response.results(6).outputs(0).data(), FakePooled({1, 12, 2}));
  EXPECT_EQ(response.usage().token_count(), 6u);
}

TEST_F(EncoderServiceTest, RequestOfBadInputsAloneIsAnswered) {
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(IdsRequest({{100}}), response).ok());
  EXPECT_TRUE(response.results(0).has_status());
  EXPECT_EQ(response.fingerprint(), "abc");
}

TEST_F(EncoderServiceTest, RequiredFingerprintMustBeTheModels) {
  v1::EncodeRequest request = IdsRequest({{1}});
  request.set_required_fingerprint("abc");
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(request, response).ok());
  EXPECT_EQ(response.fingerprint(), "abc");
  request.set_required_fingerprint("abcd");
  const grpc::Status status = Encode(request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("required_fingerprint"));
  EXPECT_THAT(status.error_message(), HasSubstr("'abc'"));
}

TEST_F(EncoderServiceTest, RequestAloneInItsBatchHasAllOfItsShare) {
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(IdsRequest({{1, 2}, {3}}), response).ok());
  const v1::Usage& usage = response.usage();
  EXPECT_GT(usage.compute_share_seconds(), 0);
  EXPECT_NEAR(usage.compute_share_seconds(), usage.compute_seconds(),
              1e-9 * response.results_size());
}

TEST_F(EncoderServiceTest, TruncationIsReported) {
  v1::EncodeRequest request = TextRequest({"a a a a a a a a"});
  request.set_truncation(v1::TRUNCATION_RIGHT);
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(request, response).ok());
  EXPECT_TRUE(response.results(0).truncated());
  EXPECT_EQ(response.results(0).token_count(), 8u);
  EXPECT_EQ(response.results(0).original_token_count(), 10u);
}

TEST_F(EncoderServiceTest, RequestWideFaultFailsTheCallWithDetails) {
  v1::EncodeResponse response;
  const grpc::Status status = Encode(v1::EncodeRequest(), response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.details_size(), 2);
}

TEST_F(EncoderServiceTest, TokenizeGivesTokensWithOffsets) {
  v1::TokenizeRequest request;
  request.add_texts("a bb");
  request.add_texts("ccc");
  request.set_add_special_tokens(true);
  v1::TokenizeResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Tokenize(&context, request, &response).ok());
  ASSERT_EQ(response.tokens_size(), 2);
  ASSERT_EQ(response.tokens(0).tokens_size(), 4);
  EXPECT_TRUE(response.tokens(0).tokens(0).special());
  EXPECT_EQ(response.tokens(0).tokens(2).text(), "bb");
  EXPECT_EQ(response.tokens(0).tokens(2).begin(), 2u);
  EXPECT_EQ(response.tokens(0).tokens(2).end(), 4u);
}

TEST_F(EncoderServiceTest, TokenizeNamesTheBadText) {
  v1::TokenizeRequest request;
  request.add_texts("a");
  request.add_texts("");
  v1::TokenizeResponse response;
  grpc::ClientContext context;
  const grpc::Status status = stub_->Tokenize(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("texts[1]"));
}

TEST_F(EncoderServiceTest, GetModelTellsShapesAndLimits) {
  v1::Model model;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->GetModel(&context, {}, &model).ok());
  EXPECT_EQ(model.name(), "fake");
  EXPECT_EQ(model.hidden_size(), 4u);
  EXPECT_EQ(model.max_length(), 16u);
  EXPECT_EQ(model.max_text_length(), 8u);
  EXPECT_EQ(model.default_pooling(), v1::POOLING_MEAN);
  EXPECT_EQ(model.default_normalization(), v1::NORMALIZATION_NONE);
  EXPECT_TRUE(model.has_tokenizer());
  EXPECT_EQ(model.max_inputs_per_request(), 1024u);
  EXPECT_FALSE(model.server_version().empty());
  v1::GetModelRequest other;
  other.set_model("other");
  grpc::ClientContext second;
  EXPECT_EQ(stub_->GetModel(&second, other, &model).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(EncoderServiceTest, UnknownClassIsRefusedAndKnownOnesAreServed) {
  for (const char* traffic_class : {"interactive", "bulk"}) {
    grpc::ClientContext context;
    context.AddMetadata("contexture-class", traffic_class);
    context.AddMetadata("contexture-tenant", "a tenant");
    v1::EncodeResponse response;
    EXPECT_TRUE(stub_->Encode(&context, IdsRequest({{1}}), &response).ok()) << traffic_class;
  }
  grpc::ClientContext context, of_stream;
  context.AddMetadata("contexture-class", "urgent");
  of_stream.AddMetadata("contexture-class", "urgent");
  v1::EncodeResponse response;
  EXPECT_EQ(stub_->Encode(&context, IdsRequest({{1}}), &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(stub_->EncodeStream(&of_stream)->Finish().error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace contexture
