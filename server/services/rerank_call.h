#pragma once

#include <memory>

#include "core/text/tokenizer.h"
#include "server/services/head_call.h"

namespace contexture {

// A Rerank request on its way, see HeadCall.
class RerankCall final : public HeadCall {
 public:
  using Job = HeadJob<v1::RerankRequest, v1::RerankResponse>;
  static void Start(const Backend& backend, Job job);
  RerankCall(const Backend& backend, Job job);

 private:
  absl::StatusOr<HeadPlan> Plan() override;
  absl::Status Prepare() override;
  absl::StatusOr<Item> PlanItem(int index) override;
  absl::Status Answer(absl::Span<Outcome> outcomes, const v1::Usage& usage) override;

  // FAILED_PRECONDITION: the head has not one label. INVALID_ARGUMENT: a function that is not for
  // one.
  absl::Status ChooseFunction();

  const v1::RerankRequest& request_;
  v1::RerankResponse& response_;
  int head_ = 0;  // in EncoderConfig::heads
  ScoreFunction function_ = ScoreFunction::kNone;
  std::unique_ptr<PairEncoder> query_;
};

}  // namespace contexture
