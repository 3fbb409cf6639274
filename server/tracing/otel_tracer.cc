#include "server/tracing/otel_tracer.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "opentelemetry/context/propagation/text_map_propagator.h"
#include "opentelemetry/sdk/resource/resource.h"
#include "opentelemetry/sdk/trace/sampler.h"
#include "opentelemetry/sdk/trace/samplers/parent_factory.h"
#include "opentelemetry/sdk/trace/samplers/trace_id_ratio_factory.h"
#include "opentelemetry/sdk/trace/tracer_provider.h"
#include "opentelemetry/trace/context.h"
#include "opentelemetry/trace/propagation/http_trace_context.h"
#include "opentelemetry/trace/span_context_kv_iterable_view.h"
#include "opentelemetry/trace/tracer.h"

namespace contexture {
namespace {

namespace otel = opentelemetry;
namespace sdk = opentelemetry::sdk::trace;

using OtelSpan = otel::nostd::shared_ptr<otel::trace::Span>;

constexpr absl::Duration kShutdownTimeout = absl::Seconds(5);

otel::nostd::string_view View(absl::string_view text) { return {text.data(), text.size()}; }

// A moment of the steady clock on both of OpenTelemetry's clocks.
otel::common::SteadyTimestamp Steady(absl::Duration moment) {
  return otel::common::SteadyTimestamp(absl::ToChronoNanoseconds(moment));
}
otel::common::SystemTimestamp System(absl::Duration moment) {
  const absl::Duration ago = Clock::Steady().Now() - moment;
  return otel::common::SystemTimestamp(
      std::chrono::nanoseconds(absl::ToUnixNanos(absl::Now() - ago)));
}

otel::common::AttributeValue Value(const SpanAttribute& attribute) {
  if (const auto* number = std::get_if<int64_t>(&attribute.value)) return *number;
  if (const auto* flag = std::get_if<bool>(&attribute.value)) return *flag;
  return View(std::get<absl::string_view>(attribute.value));
}

SpanContext ContextOf(const otel::trace::Span& span) {
  const otel::trace::SpanContext context = span.GetContext();
  SpanContext result;
  std::memcpy(result.trace_id.data(), context.trace_id().Id().data(), result.trace_id.size());
  std::memcpy(result.span_id.data(), context.span_id().Id().data(), result.span_id.size());
  return result;
}

otel::trace::SpanContext ToOtel(const SpanContext& context) {
  return {otel::trace::TraceId(context.trace_id), otel::trace::SpanId(context.span_id),
          otel::trace::TraceFlags(otel::trace::TraceFlags::kIsSampled), /*is_remote=*/false};
}

// As the propagator reads them.
class Carrier final : public otel::context::propagation::TextMapCarrier {
 public:
  explicit Carrier(const TraceParent& parent) : parent_(parent) {}
  otel::nostd::string_view Get(otel::nostd::string_view key) const noexcept override {
    if (key == otel::trace::propagation::kTraceParent) return View(parent_.traceparent);
    if (key == otel::trace::propagation::kTraceState) return View(parent_.tracestate);
    return "";
  }
  void Set(otel::nostd::string_view, otel::nostd::string_view) noexcept override {}

 private:
  const TraceParent& parent_;
};

otel::trace::SpanContext ParentOf(const TraceParent& parent) {
  if (parent.traceparent.empty()) return otel::trace::SpanContext::GetInvalid();
  otel::trace::propagation::HttpTraceContext propagator;
  otel::context::Context nothing;
  const otel::context::Context context = propagator.Extract(Carrier(parent), nothing);
  return otel::trace::GetSpan(context)->GetContext();
}

// Makes the span and ends it.
SpanContext Emit(otel::trace::Tracer& tracer, const FinishedSpan& span,
                 otel::trace::StartSpanOptions options) {
  std::vector<std::pair<otel::nostd::string_view, otel::common::AttributeValue>> attributes;
  for (const SpanAttribute& attribute : span.attributes) {
    attributes.emplace_back(attribute.key, Value(attribute));
  }
  using NoAttributes = std::vector<std::pair<std::string, std::string>>;
  std::vector<std::pair<otel::trace::SpanContext, NoAttributes>> links;
  for (const SpanContext& link : span.links) links.emplace_back(ToOtel(link), NoAttributes());
  options.start_system_time = System(span.start);
  options.start_steady_time = Steady(span.start);
  const OtelSpan made = tracer.StartSpan(
      span.name, otel::common::MakeAttributes(attributes),
      otel::trace::SpanContextKeyValueIterableView<decltype(links)>(links), options);
  const SpanContext context = ContextOf(*made);
  otel::trace::EndSpanOptions end;
  end.end_steady_time = Steady(span.end);
  made->End(end);
  return context;
}

class OtelCallTrace final : public CallTrace {
 public:
  OtelCallTrace(otel::nostd::shared_ptr<otel::trace::Tracer> tracer, OtelSpan span)
      : tracer_(std::move(tracer)), span_(std::move(span)), context_(ContextOf(*span_)) {}

  const SpanContext& context() const override { return context_; }
  void Annotate(const SpanAttribute& attribute) override {
    span_->SetAttribute(attribute.key, Value(attribute));
  }
  void AddChild(const FinishedSpan& span) override {
    otel::trace::StartSpanOptions options;
    options.parent = span_->GetContext();
    Emit(*tracer_, span, options);
  }
  void End(absl::StatusCode code, absl::Duration now) override {
    Annotate({"rpc.grpc.status_code", static_cast<int64_t>(code)});
    if (code != absl::StatusCode::kOk) span_->SetStatus(otel::trace::StatusCode::kError);
    otel::trace::EndSpanOptions end;
    end.end_steady_time = Steady(now);
    span_->End(end);
  }

 private:
  const otel::nostd::shared_ptr<otel::trace::Tracer> tracer_;
  const OtelSpan span_;
  const SpanContext context_;
};

// Calls follow their parent or, without one, the ratio. A batch, which has no parent, has a span
// only when a call in it has one, and then always.
class CallSampler final : public sdk::Sampler {
 public:
  explicit CallSampler(double ratio)
      : calls_(sdk::ParentBasedSamplerFactory::Create(
            std::shared_ptr<sdk::Sampler>(sdk::TraceIdRatioBasedSamplerFactory::Create(ratio)))) {}

  // The library's signature. NOLINTNEXTLINE(readability-function-size)
  sdk::SamplingResult ShouldSample(
      const otel::trace::SpanContext& parent, otel::trace::TraceId trace_id,
      otel::nostd::string_view name, otel::trace::SpanKind kind,
      const otel::common::KeyValueIterable& attributes,
      const otel::trace::SpanContextKeyValueIterable& links) noexcept override {
    if (kind != otel::trace::SpanKind::kServer && !parent.IsValid()) {
      return {sdk::Decision::RECORD_AND_SAMPLE, nullptr, parent.trace_state()};
    }
    return calls_->ShouldSample(parent, trace_id, name, kind, attributes, links);
  }
  otel::nostd::string_view GetDescription() const noexcept override { return "calls"; }

 private:
  const std::unique_ptr<sdk::Sampler> calls_;
};

// The environment's names win over ours.
otel::sdk::resource::Resource MakeResource(const std::string& version) {
  otel::sdk::resource::ResourceAttributes attributes = {{"service.version", version}};
  const char* given = std::getenv("OTEL_RESOURCE_ATTRIBUTES");
  const bool named = std::getenv("OTEL_SERVICE_NAME") != nullptr ||
                     (given != nullptr && absl::StrContains(given, "service.name="));
  if (!named) attributes["service.name"] = std::string("contexture");
  return otel::sdk::resource::Resource::Create(attributes);
}

class OtelTracer final : public Tracer {
 public:
  OtelTracer(std::unique_ptr<sdk::SpanProcessor> processor, const OtelTracerOptions& options)
      : provider_(std::move(processor), MakeResource(options.version),
                  std::make_unique<CallSampler>(options.ratio)),
        tracer_(provider_.GetTracer("contexture", options.version)) {}
  ~OtelTracer() override { provider_.Shutdown(absl::ToChronoMicroseconds(kShutdownTimeout)); }

  std::shared_ptr<CallTrace> StartCall(absl::string_view method, const TraceParent& parent,
                                       absl::Duration start) override {
    otel::trace::StartSpanOptions options;
    options.kind = otel::trace::SpanKind::kServer;
    options.parent = ParentOf(parent);
    options.start_system_time = System(start);
    options.start_steady_time = Steady(start);
    OtelSpan span = tracer_->StartSpan(View(method), options);
    if (!span->GetContext().IsSampled()) return nullptr;
    const std::pair<absl::string_view, absl::string_view> names = absl::StrSplit(method, '/');
    span->SetAttribute("rpc.system", "grpc");
    span->SetAttribute("rpc.service", View(names.first));
    span->SetAttribute("rpc.method", View(names.second));
    return std::make_shared<OtelCallTrace>(tracer_, std::move(span));
  }

  SpanContext Record(const FinishedSpan& span) override { return Emit(*tracer_, span, {}); }

 private:
  sdk::TracerProvider provider_;
  const otel::nostd::shared_ptr<otel::trace::Tracer> tracer_;
};

}  // namespace

std::unique_ptr<Tracer> NewOtelTracer(std::unique_ptr<sdk::SpanProcessor> processor,
                                      const OtelTracerOptions& options) {
  return std::make_unique<OtelTracer>(std::move(processor), options);
}

}  // namespace contexture
