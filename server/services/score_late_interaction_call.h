#pragma once

#include <memory>
#include <vector>

#include "server/services/head_call.h"

namespace contexture {

// A ScoreLateInteraction request on its way, see HeadCall. The query is its first item; the vectors
// of all are multiplied when the last one is there, which is its Merge.
class ScoreLateInteractionCall final : public HeadCall {
 public:
  using Job = HeadJob<v1::ScoreLateInteractionRequest, v1::ScoreLateInteractionResponse>;
  static void Start(const Backend& backend, Job job);
  ScoreLateInteractionCall(const Backend& backend, Job job);

 private:
  absl::StatusOr<HeadPlan> Plan() override;
  absl::Status Prepare() override;
  absl::StatusOr<Item> PlanItem(int index) override;
  int64_t MergeTokens(absl::Span<const Outcome> outcomes) const override;
  absl::Status Merge(absl::Span<const Outcome> outcomes) override;
  absl::Status Answer(absl::Span<Outcome> outcomes, const v1::Usage& usage) override;

  // An input as its role has it. INVALID_ARGUMENT also: it has no token that is scored.
  absl::StatusOr<Item> PlanSide(const v1::Input& input, const std::string& field, InputRole role);
  // Of the vectors of the query and of a document.
  absl::StatusOr<float> Score(absl::Span<const float> query,
                              absl::Span<const float> document) const;

  const v1::ScoreLateInteractionRequest& request_;
  v1::ScoreLateInteractionResponse& response_;
  int head_ = 0;  // in EncoderConfig::heads
  RequestPlan query_plan_, document_plan_;
  Item query_;
  std::vector<float> scores_;       // of the documents that were computed
  std::vector<uint32_t> computed_;  // which these are
};

}  // namespace contexture
