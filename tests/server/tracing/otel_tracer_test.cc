#include "server/tracing/otel_tracer.h"

#include <map>

#include "absl/strings/escaping.h"
#include "core/base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "opentelemetry/exporters/memory/in_memory_span_data.h"
#include "opentelemetry/exporters/memory/in_memory_span_exporter.h"
#include "opentelemetry/sdk/trace/simple_processor.h"
#include "server/tracing/endpoint.h"

namespace contexture {
namespace {

namespace memory = opentelemetry::exporter::memory;
namespace sdk = opentelemetry::sdk::trace;

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kMethod[] = "contexture.v1.EncoderService/Encode";
// From the examples of the W3C recommendation, section 3.2.
constexpr char kSampledParent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr char kUnsampledParent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

std::string Hex(const opentelemetry::trace::SpanId& id) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(id.Id().data()), id.Id().size()});
}
template <size_t kSize>
std::string Hex(const std::array<uint8_t, kSize>& bytes) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}
std::string Hex(const opentelemetry::trace::TraceId& id) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(id.Id().data()), id.Id().size()});
}

class OtelTracerTest : public ::testing::Test {
 protected:
  explicit OtelTracerTest(double ratio = 1) {
    auto exporter = std::make_unique<memory::InMemorySpanExporter>();
    data_ = exporter->GetData();
    tracer_ = NewOtelTracer(std::make_unique<sdk::SimpleSpanProcessor>(std::move(exporter)),
                            {.ratio = ratio, .version = "1"});
  }
  // What was exported since the last time, by name.
  std::map<std::string, std::unique_ptr<sdk::SpanData>> Spans() {
    std::map<std::string, std::unique_ptr<sdk::SpanData>> spans;
    for (auto& span : data_->GetSpans()) {
      const std::string name(span->GetName());
      spans[name] = std::move(span);
    }
    return spans;
  }

  std::shared_ptr<memory::InMemorySpanData> data_;
  std::unique_ptr<Tracer> tracer_;
};

class NeverTracerTest : public OtelTracerTest {
 protected:
  NeverTracerTest() : OtelTracerTest(/*ratio=*/0) {}
};

TEST_F(OtelTracerTest, ACallIsAChildOfItsCallersSpan) {
  const absl::Duration now = Clock::Steady().Now();
  auto call = tracer_->StartCall(kMethod, {kSampledParent, "vendor=1"}, now);
  ASSERT_NE(call, nullptr);
  EXPECT_EQ(Hex(call->context().trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
  call->Annotate({"contexture.tokens", int64_t{7}});
  call->End(absl::StatusCode::kOk, now + absl::Milliseconds(5));
  const auto spans = Spans();
  ASSERT_EQ(spans.count(kMethod), 1u);
  const sdk::SpanData& span = *spans.at(kMethod);
  EXPECT_EQ(Hex(span.GetTraceId()), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(Hex(span.GetParentSpanId()), "00f067aa0ba902b7");
  EXPECT_EQ(Hex(span.GetSpanId()), Hex(call->context().span_id));
  EXPECT_EQ(span.GetSpanContext().trace_state()->ToHeader(), "vendor=1");
  EXPECT_EQ(span.GetDuration(), std::chrono::milliseconds(5));
  EXPECT_EQ(span.GetSpanKind(), opentelemetry::trace::SpanKind::kServer);
  const auto& attributes = span.GetAttributes();
  EXPECT_EQ(opentelemetry::nostd::get<int64_t>(attributes.at("contexture.tokens")), 7);
  EXPECT_EQ(opentelemetry::nostd::get<std::string>(attributes.at("rpc.method")), "Encode");
  EXPECT_EQ(opentelemetry::nostd::get<int64_t>(attributes.at("rpc.grpc.status_code")), 0);
}

TEST_F(OtelTracerTest, APhaseIsAChildOfTheCallAndLinksToItsBatch) {
  const absl::Duration now = Clock::Steady().Now();
  auto call = tracer_->StartCall(kMethod, {}, now);
  ASSERT_NE(call, nullptr);
  const SpanContext batch = tracer_->Record({.name = "batch",
                                             .start = now,
                                             .end = now + absl::Milliseconds(1),
                                             .links = absl::MakeConstSpan(&call->context(), 1)});
  ASSERT_TRUE(batch.valid());
  call->AddChild({.name = "compute",
                  .start = now,
                  .end = now + absl::Milliseconds(2),
                  .links = absl::MakeConstSpan(&batch, 1)});
  call->End(absl::StatusCode::kUnavailable, now + absl::Milliseconds(3));
  const auto spans = Spans();
  ASSERT_THAT(spans, SizeIs(3));
  const sdk::SpanData& compute = *spans.at("compute");
  EXPECT_EQ(Hex(compute.GetParentSpanId()), Hex(call->context().span_id));
  EXPECT_EQ(compute.GetDuration(), std::chrono::milliseconds(2));
  ASSERT_THAT(compute.GetLinks(), SizeIs(1));
  EXPECT_EQ(Hex(compute.GetLinks()[0].GetSpanContext().span_id()), Hex(batch.span_id));
  const sdk::SpanData& batch_span = *spans.at("batch");
  EXPECT_FALSE(batch_span.GetParentSpanId().IsValid());
  EXPECT_NE(Hex(batch_span.GetTraceId()), Hex(call->context().trace_id));
  ASSERT_THAT(batch_span.GetLinks(), SizeIs(1));
  EXPECT_EQ(Hex(batch_span.GetLinks()[0].GetSpanContext().span_id()), Hex(call->context().span_id));
  EXPECT_EQ(spans.at(kMethod)->GetStatus(), opentelemetry::trace::StatusCode::kError);
}

TEST_F(OtelTracerTest, TheCallersNoIsHeeded) {
  EXPECT_EQ(tracer_->StartCall(kMethod, {kUnsampledParent, ""}, Clock::Steady().Now()), nullptr);
  EXPECT_THAT(Spans(), IsEmpty());
}

TEST_F(OtelTracerTest, AParentThatIsNoneStartsATraceOfItsOwn) {
  for (const char* parent :
       {"", "nonsense", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
    auto call = tracer_->StartCall(kMethod, {parent, ""}, Clock::Steady().Now());
    ASSERT_NE(call, nullptr) << parent;
    EXPECT_NE(Hex(call->context().trace_id), "4bf92f3577b34da6a3ce929d0e0e4736") << parent;
  }
}

TEST_F(NeverTracerTest, TheRatioHoldsForCallsWithoutAParentAlone) {
  const absl::Duration now = Clock::Steady().Now();
  EXPECT_EQ(tracer_->StartCall(kMethod, {}, now), nullptr);
  EXPECT_NE(tracer_->StartCall(kMethod, {kSampledParent, ""}, now), nullptr);
  // What no call owns is made only for calls that are sampled.
  EXPECT_TRUE(tracer_->Record({.name = "batch", .start = now, .end = now}).valid());
}

}  // namespace
}  // namespace contexture
