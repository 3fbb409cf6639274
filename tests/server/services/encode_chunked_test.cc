#include <optional>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/test_server.h"

namespace contexture {
namespace {

using test_support::FakePooled;
using test_support::IdsRequest;
using test_support::kPoisonId;
using test_support::TestServer;
using test_support::TextRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kMessageBytes = 4096;
constexpr size_t kChunkBytes = kMessageBytes / 64;  // four rows of four floats
constexpr int kInputs = 40;

class EncodeChunkedTest : public ::testing::Test {
 protected:
  using Reader = grpc::ClientReader<v1::EncodeChunk>;

  static ServerOptions Options() {
    ServerOptions options = TestServer::DefaultOptions();
    options.threads = 1;
    options.max_message_bytes = kMessageBytes;
    return options;
  }

  // The whole answer, put together; what the call ended with is in status_.
  v1::EncodeResponse Call(const v1::EncodeRequest& request) {
    grpc::ClientContext context;
    const std::unique_ptr<Reader> reader = stub_->EncodeChunked(&context, request);
    v1::EncodeResponse response;
    ends_ = 0;
    for (v1::EncodeChunk chunk; reader->Read(&chunk);) Add(chunk, response);
    status_ = reader->Finish();
    return response;
  }

  void Add(const v1::EncodeChunk& chunk, v1::EncodeResponse& response) {
    EXPECT_EQ(ends_, 0);
    const int last = response.results_size() - 1;
    if (chunk.has_end()) {
      ++ends_;
      *response.mutable_usage() = chunk.end().usage();
      response.set_fingerprint(chunk.end().fingerprint());
    } else if (chunk.has_result()) {
      EXPECT_EQ(static_cast<int>(chunk.input()), last + 1);
      *response.add_results() = chunk.result();
    } else {
      EXPECT_EQ(static_cast<int>(chunk.input()), last);
      const v1::RowChunk& rows = chunk.rows();
      v1::Tensor& tensor =
          *response.mutable_results(last)->mutable_outputs(static_cast<int>(rows.output()));
      const size_t row_bytes = tensor.shape(1) * sizeof(float);
      EXPECT_EQ(tensor.data().size(), rows.first_row() * row_bytes);
      EXPECT_EQ(rows.data().size(), rows.num_rows() * row_bytes);
      EXPECT_LE(rows.data().size(), kChunkBytes);
      tensor.mutable_data()->append(rows.data());
    }
  }

  // Inputs of 16 ids each, more than a message holds of their token vectors.
  static v1::EncodeRequest LargeRequest() {
    v1::EncodeRequest request;
    for (uint32_t i = 0; i < kInputs; ++i) {
      auto& ids = *request.add_inputs()->mutable_token_ids();
      for (uint32_t k = 0; k < 16; ++k) ids.add_ids(i + k);
    }
    request.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
    request.add_outputs();
    return request;
  }

  TestServer server_{Options()};
  std::unique_ptr<v1::EncoderService::Stub> stub_ = server_.NewStub();
  grpc::Status status_;
  int ends_ = 0;
};

TEST_F(EncodeChunkedTest, ChunksPutTogetherAreTheAnswerOfEncode) {
  v1::EncodeRequest request = TextRequest({"a bb", "ccc", "d e f"});
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
  request.add_outputs();
  auto& spans = *request.add_outputs();
  spans.set_kind(v1::OUTPUT_KIND_SPANS);
  spans.mutable_windows()->set_size(2);
  request.mutable_outputs(1)->set_dimensions(2);
  const v1::EncodeResponse chunked = Call(request);
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  EXPECT_EQ(ends_, 1);
  grpc::ClientContext context;
  v1::EncodeResponse whole;
  ASSERT_TRUE(stub_->Encode(&context, request, &whole).ok());
  ASSERT_EQ(chunked.results_size(), 3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(chunked.results(i).SerializeAsString(), whole.results(i).SerializeAsString()) << i;
  }
  EXPECT_EQ(chunked.fingerprint(), "abc");
  EXPECT_EQ(chunked.usage().token_count(), whole.usage().token_count());
  EXPECT_GT(chunked.usage().compute_seconds(), 0);
}

TEST_F(EncodeChunkedTest, AnswersLargerThanAMessageAreSent) {
  const v1::EncodeRequest request = LargeRequest();
  grpc::ClientContext context;
  v1::EncodeResponse whole;
  const grpc::Status refused = stub_->Encode(&context, request, &whole);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("EncodeChunked"));
  const v1::EncodeResponse response = Call(request);
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  ASSERT_EQ(response.results_size(), kInputs);
  for (int i = 0; i < kInputs; ++i) {
    std::vector<uint32_t> ids;
    std::string rows;
    for (uint32_t k = 0; k < 16; ++k) {
      ids.push_back(i + k);
      rows += FakePooled({ids.back()});
    }
    const v1::Result& result = response.results(i);
    EXPECT_THAT(result.outputs(0).shape(), ElementsAre(16, 4));
    EXPECT_EQ(result.outputs(0).data(), rows) << i;
    EXPECT_EQ(result.outputs(1).data(), FakePooled(ids)) << i;
    EXPECT_EQ(result.token_ids_size(), 16);
  }
  EXPECT_EQ(response.usage().token_count(), 16u * kInputs);
}

// Half a message holds two such answers.
TEST_F(EncodeChunkedTest, ACallerThatDoesNotReadHoldsTheComputationBack) {
  grpc::ClientContext context;
  const std::unique_ptr<Reader> reader = stub_->EncodeChunked(&context, LargeRequest());
  v1::EncodeChunk chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  // Whatever of the large call waits for the worker is before these.
  for (int i = 0; i < 3; ++i) {
    grpc::ClientContext other;
    v1::EncodeResponse response;
    ASSERT_TRUE(stub_->Encode(&other, IdsRequest({{1}}), &response).ok());
  }
  EXPECT_LE(server_.engine().sequences_run(), 3 + 4);
  int results = 1;
  while (reader->Read(&chunk)) results += chunk.has_result() ? 1 : 0;
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(results, kInputs);
}

TEST_F(EncodeChunkedTest, BadInputFailsAlone) {
  v1::EncodeRequest request = IdsRequest({{1, 2}, {100}, {kPoisonId}, {3}});
  request.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
  const v1::EncodeResponse response = Call(request);
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  ASSERT_EQ(response.results_size(), 4);
  EXPECT_EQ(response.results(0).outputs(0).data(), FakePooled({1}) + FakePooled({2}));
  EXPECT_EQ(response.results(1).status().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(response.results(1).status().message(), HasSubstr("inputs[1]"));
  EXPECT_EQ(response.results(2).status().code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(response.results(3).outputs(0).data(), FakePooled({3}));
  EXPECT_EQ(response.usage().token_count(), 3u);
}

TEST_F(EncodeChunkedTest, AFaultOfTheRequestEndsTheCallWithoutAChunk) {
  v1::EncodeRequest request = IdsRequest({{1}});
  request.set_model("other");
  EXPECT_EQ(Call(request).results_size(), 0);
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::NOT_FOUND);
  Call(v1::EncodeRequest());
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ends_, 0);
}

TEST_F(EncodeChunkedTest, DeadlineEndsTheCall) {
  server_.engine().Pause();
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(100)));
  const std::unique_ptr<Reader> reader = stub_->EncodeChunked(&context, LargeRequest());
  v1::EncodeChunk chunk;
  EXPECT_FALSE(reader->Read(&chunk));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  server_.engine().Resume();
  EXPECT_EQ(Call(IdsRequest({{1}})).results_size(), 1);
}

// The answer of each input is more than a quarter of the memory of all calls, and two are more than
// the whole: the second one is refused while the first is computed, and tried again alone.
TEST(EncodeChunkedMemoryTest, InputsThatDoNotFitTogetherAreComputedOneAfterAnother) {
  ServerOptions options = TestServer::DefaultOptions();
  options.max_message_bytes = 1 << 16;
  options.max_call_memory = 8500;
  TestServer server(options);
  const auto stub = server.NewTcpStub();
  constexpr int kLargeInputs = 3;
  v1::EncodeRequest request;
  for (uint32_t i = 0; i < kLargeInputs; ++i) {
    auto& ids = *request.add_inputs()->mutable_token_ids();
    for (uint32_t k = 0; k < 16; ++k) ids.add_ids(20 * i + k);
  }
  for (int i = 0; i < 8; ++i) request.add_outputs()->set_kind(v1::OUTPUT_KIND_TOKENS);
  server.engine().Pause();
  grpc::ClientContext context;
  const auto reader = stub->EncodeChunked(&context, request);
  server.engine().AwaitPausedRun();
  v1::EncodeRequest another = request;
  another.mutable_inputs()->DeleteSubrange(1, kLargeInputs - 1);
  grpc::ClientContext other;
  v1::EncodeResponse response;
  EXPECT_EQ(stub->Encode(&other, another, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  server.engine().Resume();
  int results = 0;
  std::string rows;
  for (v1::EncodeChunk chunk; reader->Read(&chunk);) {
    results += chunk.has_result() ? 1 : 0;
    if (chunk.has_rows() && chunk.rows().output() == 7) rows += chunk.rows().data();
  }
  const grpc::Status status = reader->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(results, kLargeInputs);
  std::string expected;
  for (uint32_t i = 0; i < kLargeInputs; ++i) {
    for (uint32_t k = 0; k < 16; ++k) expected += FakePooled({20 * i + k});
  }
  EXPECT_EQ(rows, expected);
}

TEST_F(EncodeChunkedTest, ACancelledCallLeavesTheServerFree) {
  {
    grpc::ClientContext context;
    const std::unique_ptr<Reader> reader = stub_->EncodeChunked(&context, LargeRequest());
    v1::EncodeChunk chunk;
    ASSERT_TRUE(reader->Read(&chunk));
    context.TryCancel();
    while (reader->Read(&chunk)) {
    }
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_EQ(Call(LargeRequest()).results_size(), kInputs);
  EXPECT_TRUE(status_.ok()) << status_.error_message();
}

}  // namespace
}  // namespace contexture
