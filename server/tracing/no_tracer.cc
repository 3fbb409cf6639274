// The server without OpenTelemetry (CONTEXTURE_TRACES=OFF).

#include "core/base/status_macros.h"
#include "server/tracing/endpoint.h"
#include "server/tracing/open_tracer.h"

namespace contexture {

absl::StatusOr<std::unique_ptr<Tracer>> OpenTracer(const TracerOptions& options) {
  CTX_ASSIGN_OR_RETURN(const std::string endpoint, TracesEndpoint(options.endpoint));
  if (endpoint.empty()) return nullptr;
  return absl::FailedPreconditionError(
      "traces are wanted, but this server was built without them (CONTEXTURE_TRACES)");
}

}  // namespace contexture
