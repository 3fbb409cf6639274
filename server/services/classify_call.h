#pragma once

#include <memory>

#include "server/services/head_call.h"

namespace contexture {

// A Classify request on its way, see HeadCall.
class ClassifyCall final : public HeadCall {
 public:
  using Job = HeadJob<v1::ClassifyRequest, v1::ClassifyResponse>;
  static void Start(const Backend& backend, Job job);
  ClassifyCall(const Backend& backend, Job job);

 private:
  absl::StatusOr<HeadPlan> Plan() override;
  absl::StatusOr<Item> PlanItem(int index) override;
  absl::Status Answer(absl::Span<Outcome> outcomes, const v1::Usage& usage) override;

  const HeadConfig& head() const { return model().info.config.heads[head_]; }

  const v1::ClassifyRequest& request_;
  v1::ClassifyResponse& response_;
  int head_ = 0;  // in EncoderConfig::heads
  ScoreFunction function_ = ScoreFunction::kNone;
};

}  // namespace contexture
