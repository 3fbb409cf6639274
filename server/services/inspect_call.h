#pragma once

#include <memory>
#include <utility>

#include "contexture/v1/encoder.pb.h"
#include "server/services/backend.h"
#include "server/services/inspect_plan.h"
#include "server/services/work.h"

namespace contexture {

// One Inspect request on its way: plan, tokenize, compute on an engine worker. The answer's tensors
// are sized before anything is scheduled, and written in place. Keeps itself alive until its end.
class InspectCall : public std::enable_shared_from_this<InspectCall> {
 public:
  using Job = WorkJob<v1::InspectRequest, v1::InspectResponse>;

  // Never blocks: texts are tokenized on the tokenizer pool.
  static void Start(const Backend& backend, Job job);

  InspectCall(const Backend& backend, Job job) : backend_(backend), job_(std::move(job)) {}

 private:
  void Prepare();
  absl::Status PrepareInput();
  void End(const absl::Status& status);
  absl::Status Compute(const Engine& engine, Workspace& workspace) const;

  const Backend backend_;
  Job job_;
  InspectPlan plan_;
  PlannedInput input_;         // no ids: nothing of an input is wanted
  int64_t copied_tokens_ = 0;  // what showing costs, as tokens of the model
};

}  // namespace contexture
