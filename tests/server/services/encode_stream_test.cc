#include "server/services/encode_stream.h"

#include <map>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/test_server.h"

namespace contexture {
namespace {

using test_support::FakePooled;
using test_support::IdsRequest;
using test_support::TestServer;
using test_support::TextRequest;
using ::testing::HasSubstr;

class EncodeStreamTest : public ::testing::Test {
 protected:
  using Stream = grpc::ClientReaderWriter<v1::EncodeStreamRequest, v1::EncodeStreamResponse>;

  void Send(const std::string& id, const v1::EncodeRequest& request) {
    v1::EncodeStreamRequest message;
    message.set_id(id);
    *message.mutable_request() = request;
    ASSERT_TRUE(stream_->Write(message));
  }
  v1::EncodeStreamResponse Receive() {
    v1::EncodeStreamResponse response;
    EXPECT_TRUE(stream_->Read(&response));
    return response;
  }

  TestServer server_;
  std::unique_ptr<v1::EncoderService::Stub> stub_ = server_.NewTcpStub();
  grpc::ClientContext context_;
  std::unique_ptr<Stream> stream_ = stub_->EncodeStream(&context_);
};

TEST_F(EncodeStreamTest, EveryItemIsAnsweredOnceUnderItsId) {
  constexpr int kItems = 500;
  std::thread sender([&] {
    for (int i = 0; i < kItems; ++i) {
      const auto id = static_cast<uint32_t>(i % 90);
      Send(std::to_string(i), i % 5 == 0 ? TextRequest({"a"}) : IdsRequest({{id}}));
    }
    stream_->WritesDone();
  });
  std::map<std::string, std::string> vectors;
  v1::EncodeStreamResponse response;
  while (stream_->Read(&response)) {
    EXPECT_FALSE(response.has_status());
    EXPECT_TRUE(
        vectors.emplace(response.id(), response.response().results(0).outputs(0).data()).second);
  }
  sender.join();
  EXPECT_TRUE(stream_->Finish().ok());
  ASSERT_EQ(vectors.size(), static_cast<size_t>(kItems));
  EXPECT_EQ(vectors["0"], FakePooled({1, 11, 2}));
  EXPECT_EQ(vectors["91"], FakePooled({1}));
}

TEST_F(EncodeStreamTest, ItemsCompleteOutOfOrder) {
  server_.engine().Pause();
  Send("slow", IdsRequest({{1}}));
  server_.engine().AwaitPausedRun();
  Send("bad", v1::EncodeRequest());
  EXPECT_EQ(Receive().id(), "bad");
  server_.engine().Resume();
  EXPECT_EQ(Receive().id(), "slow");
  stream_->WritesDone();
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(EncodeStreamTest, BadItemDoesNotEndTheStream) {
  Send("empty", v1::EncodeRequest());
  const auto bad = Receive();
  EXPECT_EQ(bad.id(), "empty");
  EXPECT_EQ(bad.status().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_FALSE(bad.has_response());
  Send(std::string(128, 'x'), IdsRequest({{1}}));
  EXPECT_EQ(Receive().id(), std::string(128, 'x'));
  Send(std::string(129, 'x'), IdsRequest({{1}}));
  const auto long_id = Receive();
  EXPECT_EQ(long_id.id(), "");
  EXPECT_EQ(long_id.status().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(long_id.status().message(), HasSubstr("129 bytes, at most 128"));
  Send("good", IdsRequest({{7}}));
  EXPECT_EQ(Receive().response().results(0).outputs(0).data(), FakePooled({7}));
  stream_->WritesDone();
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(EncodeStreamTest, TextThatIsNotUtf8DoesNotEndTheStream) {
  Send("broken", TextRequest({"\xff\xfe"}));
  const auto broken = Receive();
  EXPECT_EQ(broken.id(), "broken");
  EXPECT_EQ(broken.status().code(), grpc::StatusCode::INVALID_ARGUMENT);
  Send("good", TextRequest({"a"}));
  EXPECT_EQ(Receive().id(), "good");
}

TEST_F(EncodeStreamTest, ReaderThatDoesNotReadIsNotReadEither) {
  // With the engine paused nothing is answered, so no more than 64 items may be taken from the
  // stream. 64 KiB each: the buffers of the transport, which grow, hold some hundreds.
  constexpr int kAll = 4000;
  server_.engine().Pause();
  std::atomic<int> sent{0};
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    v1::EncodeStreamRequest message;
    *message.mutable_request() = IdsRequest({{1}});
    message.mutable_request()->add_inputs()->set_text(std::string(64 << 10, 'a'));
    for (int i = 0; i < kAll && !stop; ++i) {
      message.set_id(std::to_string(i));
      if (!stream_->Write(message)) return;
      ++sent;
    }
    stream_->WritesDone();
  });
  // Until the sender is held back, which on a busy machine takes a while to be sure of.
  int before = -1;
  for (int now = 0; now != before && now < kAll; now = sent) {
    before = now;
    absl::SleepFor(absl::Milliseconds(500));
  }
  EXPECT_LT(sent, kAll);
  stop = true;
  server_.engine().Resume();
  int answers = 0;
  v1::EncodeStreamResponse response;
  while (stream_->Read(&response)) ++answers;
  sender.join();
  EXPECT_EQ(answers, sent);
}

TEST(EncodeStreamLimitTest, StreamIsHeldBackInsteadOfRefusedWhenTheQueueFills) {
  ServerOptions options = TestServer::DefaultOptions();
  options.threads = 1;
  options.queue.max_tokens = 40;
  TestServer server(options);
  auto stub = server.NewTcpStub();
  grpc::ClientContext context;
  auto stream = stub->EncodeStream(&context);
  server.engine().Pause();
  constexpr int kItems = 60;  // fewer than a stream may have in flight, more than the queue holds
  for (int i = 0; i < kItems; ++i) {
    v1::EncodeStreamRequest message;
    message.set_id(std::to_string(i));
    // Each its own: equal ones would be computed once.
    *message.mutable_request() = IdsRequest({{1, static_cast<uint32_t>(i)}});
    ASSERT_TRUE(stream->Write(message));
  }
  stream->WritesDone();
  server.engine().AwaitPausedRun();
  server.engine().Resume();
  int answers = 0;
  v1::EncodeStreamResponse response;
  while (stream->Read(&response)) {
    EXPECT_FALSE(response.has_status()) << response.status().message();
    ++answers;
  }
  EXPECT_EQ(answers, kItems);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(EncodeStreamTest, CancelledStreamEndsWhileWorkIsUnderWay) {
  server_.engine().Pause();
  for (int i = 0; i < 10; ++i) Send(std::to_string(i), IdsRequest({{1}}));
  server_.engine().AwaitPausedRun();
  context_.TryCancel();
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::CANCELLED);
  server_.engine().Resume();
}

TEST_F(EncodeStreamTest, DrainAnswersWhatWasReadAndEndsTheStream) {
  server_.engine().Pause();
  Send("1", IdsRequest({{1}}));
  server_.engine().AwaitPausedRun();
  std::thread drain([&] { server_.server().Drain(); });
  absl::SleepFor(absl::Milliseconds(50));
  server_.engine().Resume();
  EXPECT_EQ(Receive().id(), "1");
  v1::EncodeStreamResponse response;
  EXPECT_FALSE(stream_->Read(&response));
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  drain.join();
}

}  // namespace
}  // namespace contexture
