#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace contexture {

// Small building blocks of ServerMetrics. The functions add to a registry at start; what they
// return lives as long as the registry and is thread safe.

struct MetricName {
  const char* name;
  const char* help;
};

prometheus::Counter& AddCounter(prometheus::Registry& registry, const MetricName& name,
                                const prometheus::Labels& labels = {});
prometheus::Gauge& AddGauge(prometheus::Registry& registry, const MetricName& name,
                            const prometheus::Labels& labels = {});
prometheus::Histogram& AddHistogram(prometheus::Registry& registry, const MetricName& name,
                                    const std::vector<double>& bounds,
                                    const prometheus::Labels& labels = {});

// 1, 2, 4, ... LARGEST.
std::vector<double> PowersOfTwo(int64_t largest);
// 1, 2.5, 5, 10, 25, ... in seconds, from SMALLEST, a power of ten, to 60 or a little below.
std::vector<double> DurationBounds(double smallest);

// A counter for each gRPC code that the server or gRPC under it answers with; any other code is
// counted as UNKNOWN.
class CodeCounters {
 public:
  CodeCounters(prometheus::Registry& registry, const MetricName& name,
               prometheus::Labels labels = {});
  prometheus::Counter& For(absl::StatusCode code) const;

 private:
  static constexpr int kNumCodes = 17;
  std::array<prometheus::Counter*, kNumCodes> counters_;  // by code
};

}  // namespace contexture
