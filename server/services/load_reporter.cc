#include "server/services/load_reporter.h"

#include <algorithm>
#include <cmath>

namespace contexture {

void LoadReporter::Smooth(absl::Duration wait, absl::Duration now) {
  wait_ += (wait - wait_) * (1 - std::exp(absl::FDivDuration(seen_ - now, kSmoothing)));
  seen_ = now;
}

void LoadReporter::CloseWindow(absl::Duration now) {
  const absl::Duration window = now - window_start_;
  if (window < kWindow) return;
  const ServerTotals totals = metrics_.totals();
  const double seconds = absl::ToDoubleSeconds(window);
  const double computed = absl::ToDoubleSeconds(totals.compute_time - at_start_.compute_time);
  busy_ = std::min(1.0, computed / (seconds * workers_));
  requests_ = static_cast<double>(totals.calls - at_start_.calls) / seconds;
  errors_ = static_cast<double>(totals.failed_calls - at_start_.failed_calls) / seconds;
  window_start_ = now;
  at_start_ = totals;
}

LoadReporter::Report LoadReporter::Now(const QueueRecord& waiting) {
  Report report;
  absl::MutexLock lock(&mutex_);
  const absl::Duration now = clock_.Now();
  CloseWindow(now);
  Smooth(waiting.predicted_wait, now);
  report.set_application_utilization(busy_ + absl::FDivDuration(wait_, kWaitOfOne));
  report.set_rps_fractional(requests_);
  report.set_eps(errors_);
  auto& named = *report.mutable_named_metrics();
  named["queue_tokens"] = static_cast<double>(waiting.tokens);
  named["predicted_wait_seconds"] = absl::ToDoubleSeconds(waiting.predicted_wait);
  return report;
}

}  // namespace contexture
