#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"

namespace contexture {

// Why a connection was closed as soon as it had come.
enum class ConnectionRefusal { kTotal, kPeer, kDescriptors };

// Connections and credentials: the instruments of server/connections and server/security. All
// series exist from the start but the end of the certificate, which only a server with TLS has.
// Thread safe.
class AccessMetrics {
 public:
  // REGISTRY outlives this.
  explicit AccessMetrics(prometheus::Registry& registry);

  void SetConnections(int open) { connections_.Set(open); }
  void RecordAccepted() { accepted_.Increment(); }
  void RecordRefused(ConnectionRefusal reason);
  // Accepting was put off because of the rate.
  void RecordDelayed() { delayed_.Increment(); }
  // The server could not reach its own listener.
  void RecordProbeFailure() { probe_failures_.Increment(); }

  // CODE is UNAUTHENTICATED or PERMISSION_DENIED.
  void RecordUnauthorized(absl::StatusCode code);
  // KIND is tokens or certificate.
  void RecordReloadFailure(absl::string_view kind);
  void SetCertificateEnd(absl::Time end);

 private:
  prometheus::Registry& registry_;
  prometheus::Gauge& connections_;
  prometheus::Counter& accepted_;
  prometheus::Counter& refused_total_;
  prometheus::Counter& refused_peer_;
  prometheus::Counter& refused_descriptors_;
  prometheus::Counter& delayed_;
  prometheus::Counter& probe_failures_;
  prometheus::Counter& unauthenticated_;
  prometheus::Counter& permission_denied_;
  prometheus::Counter& tokens_failed_;
  prometheus::Counter& certificate_failed_;
};

}  // namespace contexture
