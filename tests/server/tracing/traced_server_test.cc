// A whole server that sends its traces to a collector.

#include <algorithm>

#include "absl/time/clock.h"
#include "contexture/v1/admin.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/test_server.h"
#include "tests/server/tracing/fake_collector.h"

namespace contexture {
namespace {

using test_support::FakeCollector;
using test_support::IdsRequest;
using test_support::TestServer;
using test_support::TextRequest;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

using Span = FakeCollector::Span;

// Nanoseconds: each span turns durations into times of day by itself.
constexpr int64_t kRounding = 1000;
constexpr char kEncode[] = "contexture.v1.EncoderService/Encode";
constexpr char kStream[] = "contexture.v1.EncoderService/EncodeStream";
constexpr char kChunked[] = "contexture.v1.EncoderService/EncodeChunked";
constexpr char kListModels[] = "contexture.v1.AdminService/ListModels";
constexpr char kParent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr char kTraceId[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kCanary[] = "zanzibarcanary";

class TracedServerTest : public ::testing::Test {
 protected:
  ServerOptions Options(double ratio) {
    ServerOptions options = TestServer::DefaultOptions();
    options.traces_endpoint = collector_.endpoint();
    options.traces_ratio = ratio;
    options.cache_bytes = 1 << 20;
    return options;
  }
  static grpc::Status Encode(TestServer& server, const v1::EncodeRequest& request,
                             const std::string& parent) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
    if (!parent.empty()) context.AddMetadata("traceparent", parent);
    context.AddMetadata("x-request-id", "order-66");
    v1::EncodeResponse response;
    return server.NewTcpStub()->Encode(&context, request, &response);
  }
  // The spans named NAME, in the order of their starts. The server is gone: all were exported.
  std::vector<Span> Spans(const std::string& name) const {
    std::vector<Span> spans;
    for (const Span& span : collector_.spans()) {
      if (span.name == name) spans.push_back(span);
    }
    std::sort(spans.begin(), spans.end(),
              [](const Span& a, const Span& b) { return a.start < b.start; });
    return spans;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const Span& span : collector_.spans()) names.push_back(span.name);
    return names;
  }

  FakeCollector collector_;
};

TEST_F(TracedServerTest, ACallHasItsPhasesAndLinksToItsBatch) {
  {
    TestServer server(Options(/*ratio=*/0));
    ASSERT_TRUE(Encode(server, TextRequest({"a bb", "ccc"}), kParent).ok());
  }
  ASSERT_THAT(Names(), Contains(kEncode));
  const Span call = Spans(kEncode)[0];
  EXPECT_EQ(call.trace_id, kTraceId);
  EXPECT_EQ(call.parent_id, "00f067aa0ba902b7");
  EXPECT_THAT(call.attributes, Contains(Pair("contexture.tokens", "7")));
  EXPECT_THAT(call.attributes, Contains(Pair("contexture.request_id", "order-66")));
  EXPECT_THAT(call.attributes, Contains(Pair("rpc.grpc.status_code", "0")));
  for (const char* phase : {"tokenize", "queue", "respond"}) {
    ASSERT_EQ(Spans(phase).size(), 1u) << phase;
    EXPECT_EQ(Spans(phase)[0].parent_id, call.span_id) << phase;
    EXPECT_GE(Spans(phase)[0].start, call.start) << phase;
    EXPECT_LE(Spans(phase)[0].end, call.end + kRounding) << phase;
  }
  EXPECT_LE(Spans("tokenize")[0].end, Spans("respond")[0].start);
  // One batch or two, as the workers took them; each has its own span.
  ASSERT_EQ(Spans("compute").size(), Spans("batch").size());
  for (size_t i = 0; i < Spans("compute").size(); ++i) {
    const Span compute = Spans("compute")[i], batch = Spans("batch")[i];
    EXPECT_EQ(compute.parent_id, call.span_id);
    EXPECT_THAT(compute.links, ElementsAre(batch.span_id));
    EXPECT_THAT(compute.attributes, Contains(Pair("contexture.model", "fake")));
    EXPECT_THAT(batch.links, ElementsAre(call.span_id));
    EXPECT_EQ(batch.parent_id, "");
    EXPECT_EQ(batch.attributes, Spans("batch")[i].attributes);
    EXPECT_THAT(batch.attributes, Contains(Pair("contexture.batch_tokens", testing::_)));
  }
  EXPECT_THAT(collector_.resource(), Contains(Pair("service.name", "contexture")));
}

TEST_F(TracedServerTest, NothingIsExportedOfCallsThatAreNotSampled) {
  {
    TestServer server(Options(/*ratio=*/0));
    ASSERT_TRUE(Encode(server, IdsRequest({{1, 2}}), "").ok());
  }
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(TracedServerTest, ACacheHitIsSeenAndComputesNothing) {
  {
    TestServer server(Options(/*ratio=*/0));
    ASSERT_TRUE(Encode(server, IdsRequest({{1, 2}}), "").ok());
    ASSERT_TRUE(Encode(server, IdsRequest({{1, 2}}), kParent).ok());
  }
  EXPECT_THAT(Names(), UnorderedElementsAre(kEncode, "respond"));
  EXPECT_THAT(Spans(kEncode)[0].attributes, Contains(Pair("contexture.cached_tokens", "2")));
}

TEST_F(TracedServerTest, ARefusalNamesItsReason) {
  {
    TestServer server(Options(/*ratio=*/1), /*load=*/false);
    EXPECT_FALSE(Encode(server, IdsRequest({{1}}), "").ok());
    server.Load();
    EXPECT_FALSE(Encode(server, v1::EncodeRequest(), "").ok());
  }
  ASSERT_EQ(Spans(kEncode).size(), 2u);
  EXPECT_THAT(Spans(kEncode)[0].attributes, Contains(Pair("contexture.reason", "SERVER_STARTING")));
  EXPECT_THAT(Spans(kEncode)[1].attributes, Contains(Pair("contexture.reason", "NO_INPUTS")));
  EXPECT_THAT(Spans(kEncode)[1].attributes, Contains(Pair("rpc.grpc.status_code", "3")));
}

TEST_F(TracedServerTest, EachRequestOfAStreamIsACall) {
  {
    TestServer server(Options(/*ratio=*/0));
    auto stub = server.NewTcpStub();
    grpc::ClientContext context;
    context.AddMetadata("traceparent", kParent);
    auto stream = stub->EncodeStream(&context);
    for (uint32_t i = 1; i <= 3; ++i) {
      v1::EncodeStreamRequest request;
      *request.mutable_request() = IdsRequest({{i}});
      ASSERT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
    v1::EncodeStreamResponse response;
    while (stream->Read(&response)) {
    }
    EXPECT_TRUE(stream->Finish().ok());
  }
  ASSERT_EQ(Spans(kStream).size(), 3u);
  for (const Span& span : Spans(kStream)) EXPECT_EQ(span.trace_id, kTraceId);
  EXPECT_EQ(Spans("respond").size(), 3u);
}

TEST_F(TracedServerTest, AnAnswerInChunksHasThePhasesOfEachInput) {
  {
    TestServer server(Options(/*ratio=*/0));
    grpc::ClientContext context;
    context.AddMetadata("traceparent", kParent);
    const auto reader = server.NewTcpStub()->EncodeChunked(&context, TextRequest({"a bb", "c"}));
    for (v1::EncodeChunk chunk; reader->Read(&chunk);) {
    }
    EXPECT_TRUE(reader->Finish().ok());
  }
  ASSERT_EQ(Spans(kChunked).size(), 1u);
  const Span call = Spans(kChunked)[0];
  EXPECT_EQ(call.trace_id, kTraceId);
  EXPECT_THAT(call.attributes, Contains(Pair("contexture.tokens", "7")));
  for (const char* phase : {"tokenize", "queue", "compute"}) {
    ASSERT_EQ(Spans(phase).size(), 2u) << phase;
    for (const Span& span : Spans(phase)) EXPECT_EQ(span.parent_id, call.span_id) << phase;
  }
  EXPECT_EQ(Spans("respond").size(), 1u);
}

TEST_F(TracedServerTest, ACallOfTheOperatorHasASpan) {
  {
    ServerOptions options = Options(/*ratio=*/0);
    options.admin = true;
    TestServer server(options);
    const auto stub = v1::AdminService::NewStub(server.server().InProcessChannel());
    grpc::ClientContext context;
    context.AddMetadata("traceparent", kParent);
    v1::ListModelsResponse response;
    EXPECT_TRUE(stub->ListModels(&context, {}, &response).ok());
  }
  ASSERT_EQ(Spans(kListModels).size(), 1u);
  EXPECT_EQ(Spans(kListModels)[0].trace_id, kTraceId);
  ASSERT_EQ(Spans("respond").size(), 1u);
  EXPECT_EQ(Spans("respond")[0].parent_id, Spans(kListModels)[0].span_id);
  EXPECT_LT(Spans("respond")[0].start, Spans("respond")[0].end);
}

TEST_F(TracedServerTest, NoTextLeavesTheServer) {
  {
    TestServer server(Options(/*ratio=*/1));
    EXPECT_TRUE(Encode(server, TextRequest({kCanary}), "").ok());
    // One that fails with a message about the text.
    v1::EncodeRequest request = TextRequest({std::string(kCanary) + std::string(2000, 'x')});
    (void)Encode(server, request, "");
    request = TextRequest({"a"});
    request.set_model(kCanary);
    EXPECT_FALSE(Encode(server, request, "").ok());
  }
  EXPECT_EQ(Spans(kEncode).size(), 3u);
  EXPECT_THAT(collector_.bytes(), Not(HasSubstr(kCanary)));
}

}  // namespace
}  // namespace contexture
