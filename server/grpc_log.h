#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "server/log.h"

namespace contexture {

// What gRPC would write on standard error, for the life of this object: TLS handshakes that failed,
// of which it tells nowhere else, are counted as contexture_tls_handshake_failures_total; other
// errors are lines of LOGGER, which outlives this object. Of several objects in one process the
// latest is told. Thread safe.
class GrpcLog final : public prometheus::Collectable {
 public:
  explicit GrpcLog(Logger& logger);
  ~GrpcLog() override;
  GrpcLog(const GrpcLog&) = delete;
  GrpcLog& operator=(const GrpcLog&) = delete;

  // SOURCE is the name of gRPC's file.
  void Take(absl::string_view source, absl::string_view message);
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Logger& logger_;
  std::atomic<uint64_t> handshakes_failed_{0};
};

}  // namespace contexture
