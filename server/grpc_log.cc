#include "server/grpc_log.h"

#include <grpc/support/log.h>

#include <string>

#include "absl/base/const_init.h"
#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"

namespace contexture {
namespace {

ABSL_CONST_INIT absl::Mutex mutex(absl::kConstInit);
GrpcLog* current ABSL_GUARDED_BY(mutex) = nullptr;

void Forward(gpr_log_func_args* line) {
  if (line->severity != GPR_LOG_SEVERITY_ERROR) return;
  absl::MutexLock lock(&mutex);
  if (current != nullptr) current->Take(line->file, line->message);
}

}  // namespace

GrpcLog::GrpcLog(Logger& logger) : logger_(logger) {
  absl::MutexLock lock(&mutex);
  current = this;
  gpr_set_log_function(Forward);
}

GrpcLog::~GrpcLog() {
  absl::MutexLock lock(&mutex);
  if (current != this) return;
  current = nullptr;
  gpr_set_log_function(nullptr);  // gRPC's own again
}

void GrpcLog::Take(absl::string_view source, absl::string_view message) {
  if (absl::EndsWith(source, "ssl_transport_security.cc") &&
      absl::StartsWith(message, "Handshake failed")) {
    ++handshakes_failed_;
  } else {
    logger_.Error("grpc", {{"message", std::string(message)}});
  }
}

std::vector<prometheus::MetricFamily> GrpcLog::Collect() const {
  prometheus::ClientMetric metric;
  metric.counter.value = static_cast<double>(handshakes_failed_);
  return {
      {.name = "contexture_tls_handshake_failures_total",
       .help = "TLS handshakes that failed: for the certificate, the version, or no TLS at all.",
       .type = prometheus::MetricType::Counter,
       .metric = {metric}}};
}

}  // namespace contexture
