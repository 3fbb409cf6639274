// The server with OpenTelemetry (CONTEXTURE_TRACES=ON).

#include "server/tracing/open_tracer.h"

#include <utility>

#include "absl/strings/match.h"
#include "core/base/status_macros.h"
#include "opentelemetry/exporters/otlp/otlp_grpc_exporter_factory.h"
#include "opentelemetry/exporters/otlp/otlp_grpc_exporter_options.h"
#include "opentelemetry/sdk/common/global_log_handler.h"
#include "opentelemetry/sdk/trace/batch_span_processor_factory.h"
#include "opentelemetry/sdk/trace/batch_span_processor_options.h"
#include "server/tracing/endpoint.h"
#include "server/tracing/otel_tracer.h"

namespace contexture {
namespace {

namespace otlp = opentelemetry::exporter::otlp;
namespace sdk = opentelemetry::sdk;
namespace internal_log = opentelemetry::sdk::common::internal_log;

// OpenTelemetry writes its troubles on standard error by itself, between the lines of our log.
class ErrorHandler final : public internal_log::LogHandler {
 public:
  explicit ErrorHandler(std::function<void(const std::string&)> on_error)
      : on_error_(std::move(on_error)) {}

  void Handle(internal_log::LogLevel level, const char*, int, const char* message,
              const sdk::common::AttributeMap&) noexcept override {
    const bool bad =
        level == internal_log::LogLevel::Error || level == internal_log::LogLevel::Warning;
    if (bad && on_error_ && message != nullptr) on_error_(message);
  }

 private:
  const std::function<void(const std::string&)> on_error_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Tracer>> OpenTracer(const TracerOptions& options) {
  CTX_ASSIGN_OR_RETURN(const std::string endpoint, TracesEndpoint(options.endpoint));
  if (endpoint.empty()) return nullptr;
  internal_log::GlobalLogHandler::SetLogHandler(
      opentelemetry::nostd::shared_ptr<internal_log::LogHandler>(
          new ErrorHandler(options.on_error)));
  otlp::OtlpGrpcExporterOptions exporter;  // from the environment
  exporter.endpoint = endpoint;
  exporter.use_ssl_credentials = absl::StartsWith(endpoint, "https://");
  auto processor = sdk::trace::BatchSpanProcessorFactory::Create(
      otlp::OtlpGrpcExporterFactory::Create(exporter), sdk::trace::BatchSpanProcessorOptions());
  return NewOtelTracer(std::move(processor), {.ratio = options.ratio, .version = options.version});
}

}  // namespace contexture
