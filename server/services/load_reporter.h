#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"
#include "server/batching/batcher_metrics.h"
#include "server/metrics/registry.h"
#include "xds/data/orca/v3/orca_load_report.pb.h"

namespace contexture {

// The trailer of a call that carries a report, in binary.
inline constexpr char kLoadReportTrailer[] = "endpoint-load-metrics-bin";

// Tells load balancers how loaded this server is (ORCA, gRFC A51 and A58). application_utilization
// is the part of the workers' time that was computed in, plus the predicted wait as a multiple of
// kWaitOfOne: below 1 there is room, and above it the wait says how overloaded the server is. The
// wait is smoothed: that of one moment is noise to a client that keeps it for a second.
// Thread safe.
class LoadReporter {
 public:
  using Report = xds::data::orca::v3::OrcaLoadReport;
  // A wait as long as this counts as much as all workers being busy.
  static constexpr absl::Duration kWaitOfOne = absl::Milliseconds(100);
  // Rates are those of the last full window.
  static constexpr absl::Duration kWindow = absl::Milliseconds(500);
  // What the wait was so long ago counts e times less.
  static constexpr absl::Duration kSmoothing = absl::Seconds(1);

  // Both outlive this object.
  LoadReporter(const Clock& clock, const ServerMetrics& metrics, int workers)
      : clock_(clock),
        metrics_(metrics),
        workers_(workers),
        window_start_(clock.Now()),
        seen_(window_start_) {}

  Report Now(const QueueRecord& waiting) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void CloseWindow(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // WAIT is what has been predicted since it was seen last.
  void Smooth(absl::Duration wait, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  const ServerMetrics& metrics_;
  const int workers_;
  absl::Mutex mutex_;
  absl::Duration window_start_ ABSL_GUARDED_BY(mutex_);
  ServerTotals at_start_ ABSL_GUARDED_BY(mutex_);
  absl::Duration seen_ ABSL_GUARDED_BY(mutex_);                         // when the wait was
  absl::Duration wait_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();  // smoothed
  double busy_ ABSL_GUARDED_BY(mutex_) = 0;                             // part of the workers' time
  double requests_ ABSL_GUARDED_BY(mutex_) = 0, errors_ ABSL_GUARDED_BY(mutex_) = 0;  // a second
};

}  // namespace contexture
