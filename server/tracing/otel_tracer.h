#pragma once

#include <memory>
#include <string>

#include "opentelemetry/sdk/trace/processor.h"
#include "server/tracing/tracer.h"

namespace contexture {

struct OtelTracerOptions {
  double ratio = 1;     // see TracerOptions
  std::string version;  // service.version
};

// A tracer whose sampled spans go to PROCESSOR.
std::unique_ptr<Tracer> NewOtelTracer(
    std::unique_ptr<opentelemetry::sdk::trace::SpanProcessor> processor,
    const OtelTracerOptions& options);

}  // namespace contexture
