#pragma once

#include <memory>
#include <utility>

#include "contexture/v1/encoder.pb.h"
#include "server/services/attend_plan.h"
#include "server/services/backend.h"
#include "server/services/work.h"

namespace contexture {

// One Attend request on its way: its shapes are checked at once, its numbers on the engine worker
// that computes it. Keeps itself alive until its end.
class AttendCall : public std::enable_shared_from_this<AttendCall> {
 public:
  using Job = WorkJob<v1::AttendRequest, v1::AttendResponse>;

  // Never blocks.
  static void Start(const Backend& backend, Job job);

  explicit AttendCall(Job job) : job_(std::move(job)) {}

 private:
  absl::Status Compute();

  Job job_;
  AttendPlan plan_;
};

}  // namespace contexture
