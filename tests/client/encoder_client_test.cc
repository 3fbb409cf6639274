#include "client/encoder_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "tests/client/fake_server.h"

namespace contexture::client {
namespace {

using ::contexture::test_support::AnswerInputs;
using ::contexture::test_support::FakeServer;

// A port that nothing listens on: port 1 is reserved.
constexpr char kNobody[] = "127.0.0.1:1";

v1::EncodeRequest OneText() {
  v1::EncodeRequest request;
  request.add_inputs()->set_text("hello");
  request.add_outputs();
  return request;
}

// Answers the first calls with the code, later ones well.
FakeServer::EncodeHandler FailFirst(int count, grpc::StatusCode code,
                                    std::shared_ptr<std::atomic<int>> calls) {
  return [count, code, calls](grpc::ServerContext& context, const v1::EncodeRequest& request,
                              v1::EncodeResponse& response) {
    if (calls->fetch_add(1) < count) return grpc::Status(code, "not this time");
    return AnswerInputs(context, request, response);
  };
}

TEST(EncoderClientTest, EncodeReturnsTheAnswer) {
  FakeServer server;
  EncoderClient client({.target = server.address()});
  const auto response = client.Encode(OneText());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->results_size(), 1);
  EXPECT_EQ(server.encode_calls, 1);
}

TEST(EncoderClientTest, AnAnswerInChunksIsTheSame) {
  FakeServer server;
  EncoderClient client({.target = server.address()});
  v1::EncodeRequest request = OneText();
  *request.add_inputs() = request.inputs(0);
  for (v1::OutputKind kind : {v1::OUTPUT_KIND_POOLED, v1::OUTPUT_KIND_TOKENS}) {
    request.mutable_outputs(0)->set_kind(kind);
    const auto whole = client.Encode(request), large = client.EncodeLarge(request);
    ASSERT_TRUE(whole.ok()) << whole.status();
    ASSERT_TRUE(large.ok()) << large.status();
    ASSERT_EQ(large->results_size(), 2);
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(large->results(i).SerializeAsString(), whole->results(i).SerializeAsString());
    }
  }
}

TEST(EncoderClientTest, AFailedCallInChunksHasItsStatus) {
  FakeServer server;
  EncoderClient client({.target = server.address()});
  server.on_encode = [](grpc::ServerContext& /*context*/, const v1::EncodeRequest& /*request*/,
                        v1::EncodeResponse& /*response*/) {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "no");
  };
  EXPECT_TRUE(absl::IsFailedPrecondition(client.EncodeLarge(OneText()).status()));
}

TEST(EncoderClientTest, MissingResultsOfAnAnswerInChunksAreInternal) {
  FakeServer server;
  EncoderClient client({.target = server.address()});
  server.on_encode = [](grpc::ServerContext& /*context*/, const v1::EncodeRequest& /*request*/,
                        v1::EncodeResponse& /*response*/) { return grpc::Status::OK; };
  EXPECT_TRUE(absl::IsInternal(client.EncodeLarge(OneText()).status()));
}

v1::EncodeChunk Rows(uint32_t input, uint32_t output, uint32_t first_row, const std::string& data) {
  v1::EncodeChunk chunk;
  chunk.set_input(input);
  chunk.mutable_rows()->set_output(output);
  chunk.mutable_rows()->set_first_row(first_row);
  chunk.mutable_rows()->set_num_rows(1);
  chunk.mutable_rows()->set_data(data);
  return chunk;
}

TEST(AddChunkTest, ChunksThatDoNotFollowAreInternal) {
  v1::EncodeChunk result;
  v1::Tensor& tensor = *result.mutable_result()->add_outputs();
  tensor.set_data_type(v1::DATA_TYPE_INT8);
  tensor.add_shape(2);
  tensor.add_shape(3);
  v1::EncodeResponse response;
  EXPECT_TRUE(absl::IsInternal(AddChunk(Rows(0, 0, 0, "abc"), response)));
  ASSERT_TRUE(AddChunk(result, response).ok());
  EXPECT_TRUE(absl::IsInternal(AddChunk(result, response)));                // twice
  EXPECT_TRUE(absl::IsInternal(AddChunk(Rows(1, 0, 0, "abc"), response)));  // of another input
  EXPECT_TRUE(absl::IsInternal(AddChunk(Rows(0, 1, 0, "abc"), response)));  // of no output
  EXPECT_TRUE(absl::IsInternal(AddChunk(Rows(0, 0, 1, "abc"), response)));  // one left out
  EXPECT_TRUE(absl::IsInternal(AddChunk(Rows(0, 0, 0, "ab"), response)));   // cut
  ASSERT_TRUE(AddChunk(Rows(0, 0, 0, "abc"), response).ok());
  EXPECT_TRUE(absl::IsInternal(CheckComplete(response, 1)));
  ASSERT_TRUE(AddChunk(Rows(0, 0, 1, "def"), response).ok());
  EXPECT_TRUE(CheckComplete(response, 1).ok());
  EXPECT_TRUE(absl::IsInternal(CheckComplete(response, 2)));
  EXPECT_EQ(response.results(0).outputs(0).data(), "abcdef");
}

TEST(EncoderClientTest, UnavailableIsSentAgainUntilItSucceeds) {
  FakeServer server;
  server.on_encode =
      FailFirst(3, grpc::StatusCode::UNAVAILABLE, std::make_shared<std::atomic<int>>(0));
  EncoderClient client({.target = server.address()});
  const auto response = client.Encode(OneText());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(server.encode_calls, 4);
}

TEST(EncoderClientTest, UnavailableIsReturnedAfterTheFourthAttempt) {
  FakeServer server;
  server.on_encode =
      FailFirst(100, grpc::StatusCode::UNAVAILABLE, std::make_shared<std::atomic<int>>(0));
  EncoderClient client({.target = server.address()});
  EXPECT_EQ(client.Encode(OneText()).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.encode_calls, 4);
}

TEST(EncoderClientTest, OtherFailuresAreNotSentAgain) {
  for (grpc::StatusCode code :
       {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::RESOURCE_EXHAUSTED,
        grpc::StatusCode::INTERNAL, grpc::StatusCode::DEADLINE_EXCEEDED}) {
    FakeServer server;
    server.on_encode = FailFirst(100, code, std::make_shared<std::atomic<int>>(0));
    EncoderClient client({.target = server.address()});
    const absl::Status status = client.Encode(OneText()).status();
    EXPECT_EQ(static_cast<int>(status.code()), static_cast<int>(code));
    EXPECT_EQ(status.message(), "not this time");
    EXPECT_EQ(server.encode_calls, 1) << status;
  }
}

TEST(EncoderClientTest, TimeoutBoundsTheCallAndReachesTheServer) {
  FakeServer server;
  std::atomic<bool> has_deadline{false};
  server.on_encode = [&](grpc::ServerContext& context, const v1::EncodeRequest&,
                         v1::EncodeResponse&) {
    has_deadline = context.deadline() < std::chrono::system_clock::now() + std::chrono::seconds(5);
    while (!context.IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return grpc::Status::OK;
  };
  EncoderClient client({.target = server.address(), .timeout = absl::Milliseconds(200)});
  const absl::Time start = absl::Now();
  EXPECT_EQ(client.Encode(OneText()).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  EXPECT_TRUE(has_deadline);
}

TEST(EncoderClientTest, NoServerIsUnavailable) {
  EncoderClient client({.target = kNobody, .timeout = absl::Seconds(10)});
  EXPECT_EQ(client.GetModel({}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client.CheckHealth("").status().code(), absl::StatusCode::kUnavailable);
}

TEST(EncoderClientTest, ServerThatIsNotServingGetsNoCallsButAnswersAboutItsHealth) {
  FakeServer server;
  server.health = grpc::health::v1::HealthCheckResponse::NOT_SERVING;
  EncoderClient client({.target = server.address(), .timeout = absl::Seconds(10)});
  EXPECT_EQ(client.Encode(OneText()).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.encode_calls, 0);
  const auto health = client.CheckHealth("");
  ASSERT_TRUE(health.ok()) << health.status();
  EXPECT_EQ(*health, HealthStatus::kNotServing);
}

TEST(EncoderClientTest, HealthOfAServingServerAndOfAnUnknownService) {
  FakeServer server;
  EncoderClient client({.target = server.address()});
  EXPECT_EQ(client.CheckHealth("").value(), HealthStatus::kServing);
  EXPECT_EQ(client.CheckHealth("no.such.Service").value(), HealthStatus::kServiceUnknown);
}

TEST(EncoderClientTest, TokenizeAndGetModelReturnTheAnswer) {
  FakeServer server;
  EncoderClient client({.target = server.address()});
  v1::TokenizeRequest request;
  request.add_texts("hello");
  EXPECT_EQ(client.Tokenize(request).value().tokens(0).tokens(0).text(), "hello");
  EXPECT_EQ(client.GetModel({}).value().name(), "tiny");
  v1::GetModelRequest unknown;
  unknown.set_model("other");
  EXPECT_EQ(client.GetModel(unknown).status().code(), absl::StatusCode::kNotFound);
}

TEST(EncodeStreamTest, EveryRequestIsAnsweredByItsIdAndTheEndIsOk) {
  FakeServer server;
  EncoderClient client({.target = server.address()});
  auto stream = client.OpenEncodeStream(absl::Seconds(10));
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(stream->Write(id, OneText()));
  stream->CloseWrites();
  std::multiset<std::string> ids;
  for (;;) {
    const auto response = stream->Read();
    ASSERT_TRUE(response.ok()) << response.status();
    if (!response->has_value()) break;
    ids.insert((*response)->id());
  }
  EXPECT_EQ(ids, (std::multiset<std::string>{"a", "b", "c"}));
}

TEST(EncodeStreamTest, StreamThatIsLeftOpenEndsAtItsTimeout) {
  FakeServer server;
  EncoderClient client({.target = server.address()});
  auto stream = client.OpenEncodeStream(absl::Milliseconds(200));
  EXPECT_EQ(stream->Read().status().code(), absl::StatusCode::kDeadlineExceeded);
  // The status stays.
  EXPECT_EQ(stream->Read().status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(EncodeStreamTest, DestructionBeforeTheEndCancelsTheCall) {
  FakeServer server;
  EncoderClient client({.target = server.address()});
  const absl::Time start = absl::Now();
  {
    auto stream = client.OpenEncodeStream(absl::Seconds(60));
    ASSERT_TRUE(stream->Write("a", OneText()));
  }
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

}  // namespace
}  // namespace contexture::client
