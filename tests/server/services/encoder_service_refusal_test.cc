// Calls that are refused, or end before they are computed.

#include <thread>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/impl/codegen/client_unary_call.h"
#include "gtest/gtest.h"
#include "tests/server/services/encoder_service_fixture.h"

namespace contexture {
namespace {

using test_support::IdsRequest;
using test_support::TestServer;
using test_support::TextRequest;
using ::testing::HasSubstr;

class EncoderServiceRefusalTest : public test_support::EncoderServiceFixture {};

TEST_F(EncoderServiceRefusalTest, BrokenMessagesAreInvalidArguments) {
  v1::EncodeRequest request = TextRequest({"ab"});
  std::string wire = request.SerializeAsString();
  wire[wire.find("ab")] = '\xff';  // not UTF-8
  for (const std::string& bytes : {wire, std::string("\x12\x7f"), std::string("\xff\xff")}) {
    grpc::Slice slice(bytes);
    const grpc::ByteBuffer message(&slice, 1);
    for (const char* method : {"Encode", "Tokenize"}) {
      grpc::ClientContext context;
      grpc::ByteBuffer answer;
      const grpc::Status status =
          grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
              server_.server().InProcessChannel().get(),
              grpc::internal::RpcMethod(
                  (std::string("/contexture.v1.EncoderService/") + method).c_str(),
                  grpc::internal::RpcMethod::NORMAL_RPC),
              &context, message, &answer);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
      EXPECT_THAT(status.error_message(), HasSubstr("UTF-8"));
    }
  }
}

TEST_F(EncoderServiceRefusalTest, MessageOfVeryManyFieldsIsRefusedBeforeItIsParsed) {
  v1::EncodeRequest request;
  for (int i = 0; i < 50000; ++i) request.add_inputs();  // 2 bytes each on the wire
  v1::EncodeResponse response;
  grpc::Status status = Encode(request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("50000 fields"));
  request.mutable_inputs()->DeleteSubrange(2000, 48000);
  status = Encode(request, response);
  EXPECT_THAT(status.error_message(), HasSubstr("2000 inputs, at most 1024"));

  v1::EncodeRequest group;  // each of 2 bytes would become an object of dozens
  v1::Input& input = *group.add_inputs();
  input.GetReflection()->MutableUnknownFields(&input)->AddGroup(99);
  status = Encode(group, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("fields"));

  v1::EncodeStreamRequest item;
  item.set_id("many");
  for (int i = 0; i < 50000; ++i) item.mutable_request()->add_inputs();
  grpc::ClientContext context;
  auto stream = stub_->EncodeStream(&context);
  ASSERT_TRUE(stream->Write(item));
  v1::EncodeStreamResponse answer;
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_THAT(answer.status().message(), HasSubstr("fields"));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(EncoderServiceRefusalTest, CancelledWorkIsNotComputed) {
  server_.engine().Pause();
  std::thread holder([&] { EncodeWithin(absl::Seconds(60), IdsRequest({{1}})); });
  server_.engine().AwaitPausedRun();
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::thread> calls;
  std::atomic<int> cancelled{0};
  for (uint32_t i = 0; i < 8; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    calls.emplace_back([&, i, context = contexts.back().get()] {
      v1::EncodeResponse response;
      // Each its own: equal ones would be computed once.
      const auto status = stub_->Encode(context, IdsRequest({{10 + i}, {20 + i}}), &response);
      if (status.error_code() == grpc::StatusCode::CANCELLED) ++cancelled;
    });
  }
  server_.AwaitWaiting(16);
  for (auto& context : contexts) context->TryCancel();
  for (auto& call : calls) call.join();
  server_.AwaitWaiting(0);
  server_.engine().Resume();
  holder.join();
  EXPECT_EQ(cancelled, 8);
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(IdsRequest({{4}}), response).ok());
  EXPECT_EQ(server_.engine().sequences_run(), 2);  // the first and the last
}

TEST_F(EncoderServiceRefusalTest, DeadlineEndsTheCallAndExpiredWorkIsNotComputed) {
  server_.engine().Pause();
  std::thread holder([&] { EncodeWithin(absl::Seconds(60), IdsRequest({{1}})); });
  server_.engine().AwaitPausedRun();
  EXPECT_EQ(EncodeWithin(absl::Milliseconds(50), IdsRequest({{2}, {3}, {4}})),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  server_.engine().Resume();
  holder.join();
  v1::EncodeResponse response;
  ASSERT_TRUE(Encode(IdsRequest({{5}}), response).ok());
  EXPECT_EQ(server_.engine().sequences_run(), 2);  // the first and the last
}

TEST(EncoderServiceLimitTest, FullQueueIsRefusedWithPushback) {
  ServerOptions options = TestServer::DefaultOptions();
  options.queue.max_tokens = 4;
  options.threads = 1;
  TestServer server(options);
  auto stub = server.NewStub();
  server.engine().Pause();
  const auto encode = [&](grpc::ClientContext& context, const v1::EncodeRequest& request) {
    v1::EncodeResponse response;
    return stub->Encode(&context, request, &response);
  };
  std::thread running([&] {
    grpc::ClientContext context;
    encode(context, IdsRequest({{1}}));
  });
  server.engine().AwaitPausedRun();
  // One of the two waits in the queue, the other meets it full.
  std::atomic<int> refused{0};
  std::vector<std::thread> calls;
  for (uint32_t i = 0; i < 2; ++i) {
    calls.emplace_back([&, i] {
      grpc::ClientContext context;
      // Different ones: equal ones would be computed once.
      const grpc::Status status = encode(context, IdsRequest({{i, 2, 3}}));
      if (status.ok()) return;
      EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
      EXPECT_EQ(context.GetServerTrailingMetadata().count("grpc-retry-pushback-ms"), 1u);
      ++refused;
      server.engine().Resume();
    });
  }
  for (auto& call : calls) call.join();
  running.join();
  EXPECT_EQ(refused, 1);
}

TEST(EncoderServiceLimitTest, CallsThatFillTheMemoryAreRefusedAndGiveItBack) {
  ServerOptions options = TestServer::DefaultOptions();
  options.threads = 1;
  options.max_call_memory = 1000;
  TestServer server(options);
  auto stub = server.NewStub();
  const auto encode = [&](int length) {
    grpc::ClientContext context;
    v1::EncodeResponse response;
    return stub->Encode(&context, IdsRequest({std::vector<uint32_t>(length, 1)}), &response);
  };
  server.engine().Pause();
  std::thread large([&] {
    grpc::ClientContext context;
    v1::EncodeResponse response;
    v1::EncodeRequest request = TextRequest({std::string(2000, 'a'), "b"});
    EXPECT_TRUE(stub->Encode(&context, request, &response).ok()) << "alone it is let in";
  });
  server.engine().AwaitPausedRun();
  const grpc::Status refused = encode(1);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("limit is 1000"));
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(refused.error_details()));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info) || details.details(1).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "MEMORY_FULL");
  server.engine().Resume();
  large.join();
  // The server gives it back once gRPC is done with the call, which may be after its answer.
  while (!encode(1).ok()) std::this_thread::yield();
}

}  // namespace
}  // namespace contexture
