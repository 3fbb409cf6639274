#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

// The seam to OpenTelemetry: nothing outside this folder includes its headers. A server without
// traces has no Tracer, and a call that is not sampled no CallTrace: both are null, and cost a
// comparison.

namespace contexture {

// Names a span in W3C's terms (https://www.w3.org/TR/trace-context/). Zero: none.
struct SpanContext {
  std::array<uint8_t, 16> trace_id = {};
  std::array<uint8_t, 8> span_id = {};

  bool valid() const {
    return std::any_of(span_id.begin(), span_id.end(), [](uint8_t byte) { return byte != 0; });
  }
};

// What a caller's metadata say of the span that the call is part of; each may be empty.
struct TraceParent {
  absl::string_view traceparent;
  absl::string_view tracestate;
};

// A fact about a span: a number of the server's own, or a word of a closed set. Never a user's text
// or token ids.
struct SpanAttribute {
  const char* key;
  std::variant<int64_t, bool, absl::string_view> value;
};

// A span that has ended. Its times are those of Clock::Steady.
struct FinishedSpan {
  const char* name;
  absl::Duration start;
  absl::Duration end;
  absl::Span<const SpanAttribute> attributes = {};
  absl::Span<const SpanContext> links = {};
};

// The span of one call that is sampled. Thread safe.
class CallTrace {
 public:
  virtual ~CallTrace() = default;  // ends the span when nobody did
  virtual const SpanContext& context() const = 0;
  virtual void Annotate(const SpanAttribute& attribute) = 0;
  virtual void AddChild(const FinishedSpan& span) = 0;
  // CODE is that of the answer. Once; nothing comes after it.
  virtual void End(absl::StatusCode code, absl::Duration now) = 0;
};

// Makes spans and hands them to an exporter on a thread of its own; what the exporter cannot take
// is dropped. Thread safe; never blocks.
class Tracer {
 public:
  virtual ~Tracer() = default;  // exports what is left; may take seconds
  // A call to METHOD ("contexture.v1.EncoderService/Encode") came at START. Sampled when its parent
  // is; without a parent, by the tracer's ratio. Null: not sampled.
  virtual std::shared_ptr<CallTrace> StartCall(absl::string_view method, const TraceParent& parent,
                                               absl::Duration start) = 0;
  // A span that belongs to no call: a batch of several, which its links name. Always sampled.
  virtual SpanContext Record(const FinishedSpan& span) = 0;
};

}  // namespace contexture
