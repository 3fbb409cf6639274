#include "server/services/work.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/engine/flops.h"
#include "server/services/call_record.h"
#include "server/services/status_mapping.h"

namespace contexture {

void ScheduleWork(const Backend& backend, Task task, v1::Usage& usage, WorkDone done) {
  const int64_t tokens = task.work_tokens;
  task.done = [backend, tokens, &usage, trace = task.trace, done = std::move(done)](
                  const absl::Status& status, const TaskReport& report) mutable {
    if (trace != nullptr && report.start > absl::ZeroDuration()) TraceQueue(*trace, report);
    if (trace != nullptr && report.compute_time > absl::ZeroDuration()) {
      TraceCompute(*trace, report, backend.model);
    }
    usage.set_token_count(tokens);
    usage.set_queue_seconds(absl::ToDoubleSeconds(report.queue_time));
    usage.set_compute_seconds(absl::ToDoubleSeconds(report.compute_time));
    usage.set_compute_share_seconds(absl::ToDoubleSeconds(report.compute_time));
    EndWork(backend, status, std::move(done));
  };
  std::vector<Task> tasks;
  tasks.push_back(std::move(task));
  const absl::Status scheduled = backend.Schedule(tasks);
  if (scheduled.ok()) return;
  backend.metrics.RecordRefused(RefusalReasonOf(scheduled), 1);
  std::move(tasks.front().done)(scheduled, {});
}

int64_t TokensOf(double products, const EncoderConfig& config) {
  const double per_token = std::max(1.0, EncodeFlops(config, 1));
  return std::llround(std::min(2.0 * products / per_token, 1e9));
}

void EndWork(const Backend& backend, const absl::Status& status, WorkDone done) {
  backend.metrics.RecordItems(status.code(), 1);
  std::move(done)(WithDetails(status));
}

}  // namespace contexture
