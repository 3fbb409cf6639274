#pragma once

#include <memory>
#include <vector>

#include "server/services/entity_groups.h"
#include "server/services/head_call.h"

namespace contexture {

// A ClassifyTokens request on its way, see HeadCall.
class ClassifyTokensCall final : public HeadCall {
 public:
  using Job = HeadJob<v1::ClassifyTokensRequest, v1::ClassifyTokensResponse>;
  static void Start(const Backend& backend, Job job);
  ClassifyTokensCall(const Backend& backend, Job job);

 private:
  absl::StatusOr<HeadPlan> Plan() override;
  absl::StatusOr<Item> PlanItem(int index) override;
  absl::Status Answer(absl::Span<Outcome> outcomes, const v1::Usage& usage) override;

  // INVALID_ARGUMENT: the input at FIELD is a pair, or ids where words are asked for.
  absl::Status CheckKind(const v1::Input& input, const std::string& field) const;
  // The tokens of item INDEX that have labels, without scores.
  std::vector<LabelledToken> TokensOf(const v1::Input& input, const PlannedInput& planned) const;
  const HeadConfig& head() const { return model().info.config.heads[head_]; }
  bool wants_words() const;

  const v1::ClassifyTokensRequest& request_;
  v1::ClassifyTokensResponse& response_;
  int head_ = 0;  // in EncoderConfig::heads
  EntityAggregation aggregation_ = EntityAggregation::kNone;
  std::vector<std::vector<LabelledToken>> tokens_;  // by item
};

}  // namespace contexture
