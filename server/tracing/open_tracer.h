#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/tracing/tracer.h"

namespace contexture {

struct TracerOptions {
  // Of a collector that takes OTLP over gRPC: http://HOST:PORT, or https:// with TLS. Empty:
  // OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT, when one is set. The other
  // variables OTEL_EXPORTER_OTLP_* (headers, certificate, timeout) and OTEL_RESOURCE_ATTRIBUTES,
  // OTEL_SERVICE_NAME hold in any case.
  std::string endpoint;
  double ratio = 1;  // of the calls without a parent that are sampled
  std::string version;
  // Told when spans could not be exported, with the reason; from any thread. May be null.
  std::function<void(const std::string&)> on_error;
};

// Null: there is no endpoint. FAILED_PRECONDITION: there is one, but the server was built without
// traces (CONTEXTURE_TRACES). INVALID_ARGUMENT: the endpoint is no URL; names it. Does not connect.
// At most one a process: OpenTelemetry's reports of errors are the process's.
absl::StatusOr<std::unique_ptr<Tracer>> OpenTracer(const TracerOptions& options);

}  // namespace contexture
