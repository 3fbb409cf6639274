#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/metrics/access_metrics.h"

namespace contexture {

// Bounds on connections; 0: none.
struct ConnectionLimits {
  int total = 0;
  int per_peer = 0;
  // Connections taken each second; a second's worth may come at once. More wait in the kernel.
  int accepts_per_second = 0;
};

// Counts open connections by peer. Not thread safe.
class ConnectionTable {
 public:
  explicit ConnectionTable(const ConnectionLimits& limits) : limits_(limits) {}

  // A connection of PEER is open from now on, or the bound that forbids it. The empty PEER, which
  // all users of a unix socket are, has no bound of its own.
  absl::optional<ConnectionRefusal> Add(const std::string& peer);
  void Remove(const std::string& peer);
  int open() const { return open_; }

 private:
  const ConnectionLimits limits_;
  absl::flat_hash_map<std::string, int> by_peer_;
  int open_ = 0;
};

// A token bucket: RATE events a second, of which a second's worth may come at once. 0: no bound.
// Not thread safe.
class RateLimit {
 public:
  RateLimit(int rate, absl::Duration now) : rate_(rate), tokens_(rate), last_(now) {}

  // Zero: an event may happen NOW. Else the time to wait.
  absl::Duration Wait(absl::Duration now);
  // An event happened.
  void Spend() { tokens_ -= 1; }

 private:
  const double rate_;
  double tokens_;
  absl::Duration last_;
};

}  // namespace contexture
