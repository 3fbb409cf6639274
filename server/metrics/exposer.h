#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace contexture {

// Serves GET /metrics over HTTP/1.1 on its own port and threads, so that a scrape neither waits for
// nor disturbs the data port. Thread safe.
class MetricsExposer {
 public:
  using Sources = std::vector<std::shared_ptr<prometheus::Collectable>>;

  // ADDRESS is HOST:PORT, [IPV6]:PORT or PORT; port 0 takes a free one. INVALID_ARGUMENT: ADDRESS
  // cannot be understood; UNAVAILABLE: it cannot be listened on. Both name ADDRESS.
  static absl::StatusOr<std::unique_ptr<MetricsExposer>> Start(const std::string& address,
                                                               Sources sources);
  // Closes the port and waits for scrapes that are under way, about 1.5 s at most.
  ~MetricsExposer();
  MetricsExposer(const MetricsExposer&) = delete;
  MetricsExposer& operator=(const MetricsExposer&) = delete;

  int port() const { return port_; }

 private:
  MetricsExposer(std::string host, Sources sources, std::unique_ptr<prometheus::Exposer> exposer);

  const std::string host_;
  const Sources sources_;  // the exposer holds them weakly
  std::unique_ptr<prometheus::Exposer> exposer_;
  const int port_;
};

}  // namespace contexture
