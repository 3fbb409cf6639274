#include "server/services/call_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "contexture/v1/admin.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/services/call_record.h"
#include "server/services/status_mapping.h"
#include "tests/server/test_server.h"

namespace contexture {
namespace {

using test_support::IdsRequest;
using test_support::TestServer;
using test_support::TextRequest;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ManualClock final : public Clock {
 public:
  absl::Duration Now() const override { return now_; }
  void Advance(absl::Duration time) { now_ += time; }

 private:
  absl::Duration now_ = absl::Hours(1);
};

class CallLogTest : public ::testing::Test {
 protected:
  CallLogTest() {
    EXPECT_EQ(::pipe2(ends_, O_NONBLOCK | O_CLOEXEC), 0);
    logger_ = std::make_unique<Logger>(LogFormat::kJson, ends_[1]);
    log_ = std::make_unique<CallLog>(
        CallLog::Options{.slow = absl::Seconds(1), .lines_per_second = 3}, *logger_, clock_);
  }
  ~CallLogTest() override {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }

  void Write(const absl::Status& status, absl::Duration duration = absl::ZeroDuration()) {
    log_->Write({.request_id = "order-66",
                 .method = "contexture.v1.EncoderService/Encode",
                 .status = status,
                 .duration = duration});
  }
  // What was written since the last time.
  std::vector<nlohmann::json> Lines() {
    std::string text(1 << 16, '\0');
    const ssize_t size = ::read(ends_[0], text.data(), text.size());
    text.resize(size < 0 ? 0 : static_cast<size_t>(size));
    std::vector<nlohmann::json> lines;
    for (const std::string& line : std::vector<std::string>(absl::StrSplit(text, '\n'))) {
      if (!line.empty()) lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
  }

  int ends_[2] = {-1, -1};
  ManualClock clock_;
  std::unique_ptr<Logger> logger_;
  std::unique_ptr<CallLog> log_;
};

TEST_F(CallLogTest, AFailedCallHasALineWithItsReasonAndNotItsMessage) {
  Write(MakeError(ErrorReason::kTokenIdOutOfRange, "the id 4711 is too large"));
  const auto lines = Lines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["event"], "call_failed");
  EXPECT_EQ(lines[0]["level"], "info");  // the caller's mistake
  EXPECT_EQ(lines[0]["request_id"], "order-66");
  EXPECT_EQ(lines[0]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(lines[0]["reason"], "TOKEN_ID_OUT_OF_RANGE");
  EXPECT_THAT(lines[0].dump(), Not(HasSubstr("4711")));
}

TEST_F(CallLogTest, OnlyASlowCallThatSucceedsHasALine) {
  Write(absl::OkStatus(), absl::Seconds(1));
  EXPECT_THAT(Lines(), IsEmpty());
  v1::Usage usage;
  usage.set_token_count(7);
  usage.set_queue_seconds(0.25);
  const SpanContext trace{.trace_id = {0xab}, .span_id = {1}};
  const absl::Status ok;
  log_->Write({.request_id = "r",
               .method = "m",
               .status = ok,
               .duration = absl::Milliseconds(1001),
               .usage = &usage,
               .trace = &trace});
  const auto lines = Lines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["event"], "call_slow");
  EXPECT_EQ(lines[0]["duration_ms"], "1001.000");
  EXPECT_EQ(lines[0]["queue_ms"], "250.000");
  EXPECT_EQ(lines[0]["tokens"], "7");
  EXPECT_EQ(lines[0]["trace_id"], "ab000000000000000000000000000000");
}

TEST_F(CallLogTest, AFloodIsCutAndCounted) {
  for (int i = 0; i < 10; ++i) Write(absl::UnavailableError(""));
  EXPECT_THAT(Lines(), SizeIs(3));
  clock_.Advance(absl::Seconds(1));
  Write(absl::UnavailableError(""));
  const auto lines = Lines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["lines_left_out"], "7");
}

TEST_F(CallLogTest, TheLevelHoldsFromTheMomentItIsSet) {
  logger_->SetLevel(Severity::kError);
  Write(absl::UnavailableError(""));
  EXPECT_THAT(Lines(), IsEmpty());
  Write(absl::InternalError(""));
  EXPECT_THAT(Lines(), SizeIs(1));
  logger_->SetLevel(Severity::kInfo);
  Write(absl::InvalidArgumentError(""));
  EXPECT_THAT(Lines(), SizeIs(1));
}

TEST_F(CallLogTest, AReaderThatDoesNotReadHoldsNobody) {
  ::fcntl(ends_[1], F_SETPIPE_SZ, 4096);
  ::fcntl(ends_[1], F_SETFL, 0);  // writing may block
  for (int i = 0; i < 1000; ++i) {
    Write(absl::UnavailableError(""));
    clock_.Advance(absl::Seconds(1));
  }
  EXPECT_THAT(Lines(), Not(IsEmpty()));
}

// What a server writes of calls.
class ServedLogTest : public ::testing::Test {
 protected:
  ServedLogTest() {
    EXPECT_EQ(::pipe2(ends_, O_NONBLOCK | O_CLOEXEC), 0);
    ServerOptions options = TestServer::DefaultOptions();
    options.admin = true;
    options.slow_call = absl::Nanoseconds(1);
    server_ = std::make_unique<TestServer>(options, /*load=*/true, test_support::FakeEngineInfo(),
                                           ends_[1]);
    context_.AddMetadata(kRequestIdMetadata, "order-66");
  }
  ~ServedLogTest() override {
    server_.reset();
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  grpc::Status EncodeChunked(const v1::EncodeRequest& request) {
    const auto reader = server_->NewStub()->EncodeChunked(&context_, request);
    for (v1::EncodeChunk chunk; reader->Read(&chunk);) {
    }
    return reader->Finish();
  }
  // The lines that have TEXT.
  std::vector<std::string> LinesOf(const std::string& text) {
    std::string all(1 << 16, '\0');
    const ssize_t size = ::read(ends_[0], all.data(), all.size());
    all.resize(size < 0 ? 0 : static_cast<size_t>(size));
    std::vector<std::string> lines;
    for (const absl::string_view line : absl::StrSplit(all, '\n')) {
      if (absl::StrContains(line, text)) lines.emplace_back(line);
    }
    return lines;
  }
  std::string TrailerId() {
    const auto& trailer = context_.GetServerTrailingMetadata();
    const auto found = trailer.find(kRequestIdMetadata);
    return found == trailer.end() ? "" : std::string(found->second.data(), found->second.size());
  }

  int ends_[2] = {-1, -1};
  std::unique_ptr<TestServer> server_;
  grpc::ClientContext context_;
};

TEST_F(ServedLogTest, ASlowAnswerInChunksHasALineWithItsTokens) {
  ASSERT_TRUE(EncodeChunked(IdsRequest({{1, 2}, {3}})).ok());
  EXPECT_EQ(TrailerId(), "order-66");
  const auto lines = LinesOf("call_slow");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("request_id=order-66"));
  EXPECT_THAT(lines[0], HasSubstr("method=contexture.v1.EncoderService/EncodeChunked"));
  EXPECT_THAT(lines[0], HasSubstr("tokens=3 "));
}

TEST_F(ServedLogTest, AChunkedCallThatIsRefusedHasALine) {
  v1::EncodeRequest request = IdsRequest({{1}});
  request.set_model("zanzibar");
  EXPECT_FALSE(EncodeChunked(request).ok());
  EXPECT_EQ(TrailerId(), "order-66");
  const auto lines = LinesOf("call_failed");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("request_id=order-66"));
  EXPECT_THAT(lines[0], HasSubstr("reason=MODEL_NOT_FOUND"));
  EXPECT_THAT(lines[0], Not(HasSubstr("zanzibar")));
}

TEST_F(ServedLogTest, AChunkedCallThatEndsInTheMiddleHasALine) {
  server_->engine().Pause();
  context_.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(50)));
  EXPECT_FALSE(EncodeChunked(IdsRequest({{1}})).ok());
  server_->engine().Resume();
  server_->server().Drain();  // the call is over
  EXPECT_THAT(LinesOf("call_failed request_id=order-66"), SizeIs(1));
}

TEST_F(ServedLogTest, ACallOfTheOperatorHasALine) {
  const auto stub = v1::AdminService::NewStub(server_->server().InProcessChannel());
  v1::UnloadModelRequest request;
  request.set_name("zanzibar");
  v1::UnloadModelResponse response;
  EXPECT_FALSE(stub->UnloadModel(&context_, request, &response).ok());
  EXPECT_EQ(TrailerId(), "order-66");
  const auto lines = LinesOf("call_failed");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("request_id=order-66"));
  EXPECT_THAT(lines[0], HasSubstr("method=contexture.v1.AdminService/UnloadModel"));
  EXPECT_THAT(lines[0], HasSubstr("reason=NOT_FOUND"));
  EXPECT_THAT(lines[0], Not(HasSubstr("zanzibar")));
}

// The request id in the trailer of a call that sent GIVEN; empty: none was sent.
std::string RequestId(TestServer& server, const std::string& given) {
  grpc::ClientContext context;
  if (!given.empty()) context.AddMetadata(kRequestIdMetadata, given);
  v1::EncodeResponse response;
  EXPECT_TRUE(server.NewStub()->Encode(&context, IdsRequest({{1}}), &response).ok());
  const auto& trailer = context.GetServerTrailingMetadata();
  EXPECT_EQ(trailer.count(kRequestIdMetadata), 1u);
  const auto found = trailer.find(kRequestIdMetadata);
  return found == trailer.end() ? "" : std::string(found->second.data(), found->second.size());
}

TEST(RequestIdTest, TheCallersIdComesBack) {
  TestServer server;
  EXPECT_EQ(RequestId(server, "order-66/a.b_c:d=e+f"), "order-66/a.b_c:d=e+f");
}

TEST(RequestIdTest, WhatIsNoIdIsReplacedByOneOfItsOwn) {
  TestServer server;
  for (const std::string& given : {std::string(), std::string("a b"), std::string("{\"x\":1}"),
                                   std::string(kMaxRequestIdBytes + 1, 'a')}) {
    const std::string id = RequestId(server, given);
    EXPECT_NE(id, given);
    EXPECT_THAT(id, SizeIs(25));
    EXPECT_NE(id, RequestId(server, given));
  }
}

TEST(RequestIdTest, ARefusedCallAndAStreamHaveOneToo) {
  TestServer server(TestServer::DefaultOptions(), /*load=*/false);
  auto stub = server.NewStub();
  grpc::ClientContext call, streaming;
  call.AddMetadata(kRequestIdMetadata, "one");
  streaming.AddMetadata(kRequestIdMetadata, "two");
  v1::EncodeResponse response;
  EXPECT_FALSE(stub->Encode(&call, IdsRequest({{1}}), &response).ok());
  EXPECT_FALSE(stub->EncodeStream(&streaming)->Finish().ok());
  EXPECT_EQ(call.GetServerTrailingMetadata().find(kRequestIdMetadata)->second, "one");
  EXPECT_EQ(streaming.GetServerTrailingMetadata().find(kRequestIdMetadata)->second, "two");
}

}  // namespace
}  // namespace contexture
