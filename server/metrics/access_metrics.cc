#include "server/metrics/access_metrics.h"

#include "server/metrics/instruments.h"

namespace contexture {
namespace {

constexpr MetricName kConnections = {"contexture_connections", "Open connections."};
constexpr MetricName kAccepted = {"contexture_connections_accepted_total",
                                  "Connections handed to gRPC."};
constexpr MetricName kRefused = {"contexture_connections_refused_total",
                                 "Connections closed at once, by the bound that they were past."};
constexpr MetricName kDelayed = {"contexture_accept_delays_total",
                                 "Times that connections had to wait for the rate of accepting."};
constexpr MetricName kProbeFailures = {"contexture_self_probe_failures_total",
                                       "Times that the server got no answer at its own address."};
constexpr MetricName kUnauthorized = {"contexture_unauthorized_calls_total",
                                      "Calls refused for their bearer token or the lack of one."};
constexpr MetricName kReloadFailures = {"contexture_credential_reload_failures_total",
                                        "New credentials that could not be used."};
constexpr MetricName kCertificateEnd = {"contexture_tls_certificate_expiry_timestamp_seconds",
                                        "End of the server's certificate since the Unix epoch."};

}  // namespace

AccessMetrics::AccessMetrics(prometheus::Registry& registry)
    : registry_(registry),
      connections_(AddGauge(registry, kConnections)),
      accepted_(AddCounter(registry, kAccepted)),
      refused_total_(AddCounter(registry, kRefused, {{"reason", "total"}})),
      refused_peer_(AddCounter(registry, kRefused, {{"reason", "peer"}})),
      refused_descriptors_(AddCounter(registry, kRefused, {{"reason", "descriptors"}})),
      delayed_(AddCounter(registry, kDelayed)),
      probe_failures_(AddCounter(registry, kProbeFailures)),
      unauthenticated_(AddCounter(registry, kUnauthorized, {{"code", "UNAUTHENTICATED"}})),
      permission_denied_(AddCounter(registry, kUnauthorized, {{"code", "PERMISSION_DENIED"}})),
      tokens_failed_(AddCounter(registry, kReloadFailures, {{"kind", "tokens"}})),
      certificate_failed_(AddCounter(registry, kReloadFailures, {{"kind", "certificate"}})) {}

void AccessMetrics::RecordRefused(ConnectionRefusal reason) {
  switch (reason) {
    case ConnectionRefusal::kTotal:
      return refused_total_.Increment();
    case ConnectionRefusal::kPeer:
      return refused_peer_.Increment();
    case ConnectionRefusal::kDescriptors:
      return refused_descriptors_.Increment();
  }
}

void AccessMetrics::RecordUnauthorized(absl::StatusCode code) {
  (code == absl::StatusCode::kPermissionDenied ? permission_denied_ : unauthenticated_).Increment();
}

void AccessMetrics::RecordReloadFailure(absl::string_view kind) {
  (kind == "tokens" ? tokens_failed_ : certificate_failed_).Increment();
}

void AccessMetrics::SetCertificateEnd(absl::Time end) {
  AddGauge(registry_, kCertificateEnd).Set(static_cast<double>(absl::ToUnixSeconds(end)));
}

}  // namespace contexture
