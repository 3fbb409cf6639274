#include "server/metrics/instruments.h"

#include <utility>

namespace contexture {
namespace {

struct CodeName {
  absl::StatusCode code;
  const char* name;
};

constexpr CodeName kUnknown = {absl::StatusCode::kUnknown, "UNKNOWN"};
constexpr CodeName kCodes[] = {
    {absl::StatusCode::kOk, "OK"},
    {absl::StatusCode::kCancelled, "CANCELLED"},
    kUnknown,
    {absl::StatusCode::kInvalidArgument, "INVALID_ARGUMENT"},
    {absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED"},
    {absl::StatusCode::kNotFound, "NOT_FOUND"},
    {absl::StatusCode::kAlreadyExists, "ALREADY_EXISTS"},
    {absl::StatusCode::kResourceExhausted, "RESOURCE_EXHAUSTED"},
    {absl::StatusCode::kFailedPrecondition, "FAILED_PRECONDITION"},
    {absl::StatusCode::kUnimplemented, "UNIMPLEMENTED"},
    {absl::StatusCode::kInternal, "INTERNAL"},
    {absl::StatusCode::kUnavailable, "UNAVAILABLE"},
    {absl::StatusCode::kUnauthenticated, "UNAUTHENTICATED"},
    {absl::StatusCode::kPermissionDenied, "PERMISSION_DENIED"},
};

}  // namespace

prometheus::Counter& AddCounter(prometheus::Registry& registry, const MetricName& name,
                                const prometheus::Labels& labels) {
  return prometheus::BuildCounter().Name(name.name).Help(name.help).Register(registry).Add(labels);
}

prometheus::Gauge& AddGauge(prometheus::Registry& registry, const MetricName& name,
                            const prometheus::Labels& labels) {
  return prometheus::BuildGauge().Name(name.name).Help(name.help).Register(registry).Add(labels);
}

prometheus::Histogram& AddHistogram(prometheus::Registry& registry, const MetricName& name,
                                    const std::vector<double>& bounds,
                                    const prometheus::Labels& labels) {
  return prometheus::BuildHistogram().Name(name.name).Help(name.help).Register(registry).Add(
      labels, bounds);
}

std::vector<double> PowersOfTwo(int64_t largest) {
  std::vector<double> bounds;
  for (int64_t bound = 1; bound <= largest; bound *= 2) {
    bounds.push_back(static_cast<double>(bound));
  }
  return bounds;
}

std::vector<double> DurationBounds(double smallest) {
  constexpr double kLongest = 60.0;
  std::vector<double> bounds;
  // Divided, not multiplied by 0.1 again and again: the labels stay short decimal numbers.
  for (double per_second = 1.0 / smallest; true; per_second /= 10) {
    for (double factor : {1.0, 2.5, 5.0}) {
      if (factor / per_second > kLongest) return bounds;
      bounds.push_back(factor / per_second);
    }
  }
}

CodeCounters::CodeCounters(prometheus::Registry& registry, const MetricName& name,
                           prometheus::Labels labels) {
  const auto add = [&](const CodeName& code) {
    labels["code"] = code.name;
    return &AddCounter(registry, name, labels);
  };
  counters_.fill(add(kUnknown));
  for (const CodeName& code : kCodes) counters_[static_cast<int>(code.code)] = add(code);
}

prometheus::Counter& CodeCounters::For(absl::StatusCode code) const {
  const auto index = static_cast<size_t>(code);
  return *counters_[index < counters_.size() ? index
                                             : static_cast<size_t>(absl::StatusCode::kUnknown)];
}

}  // namespace contexture
