#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "server/services/head_call.h"

namespace contexture {

// A FillMask request on its way, see HeadCall.
class FillMaskCall final : public HeadCall {
 public:
  using Job = HeadJob<v1::FillMaskRequest, v1::FillMaskResponse>;
  static void Start(const Backend& backend, Job job);
  FillMaskCall(const Backend& backend, Job job);

 private:
  absl::StatusOr<HeadPlan> Plan() override;
  // Finds the id of the mask token. INVALID_ARGUMENT, FAILED_PRECONDITION: see
  // FillMaskRequest.mask_token.
  absl::Status Prepare() override;
  absl::StatusOr<Item> PlanItem(int index) override;
  absl::Status Answer(absl::Span<Outcome> outcomes, const v1::Usage& usage) override;

  // FAILED_PRECONDITION: the vocabulary does not have MASK, which the model's directory names.
  absl::Status UseDirectorysMask(const std::string& mask);
  // The id of TEXT when the vocabulary has it as one token.
  absl::optional<uint32_t> OneToken(const std::string& text) const;

  const v1::FillMaskRequest& request_;
  v1::FillMaskResponse& response_;
  int head_ = 0;  // in EncoderConfig::heads
  int top_k_ = 0;
  uint32_t mask_ = 0;
  std::vector<std::vector<uint32_t>> positions_;  // of the masks, by item
};

}  // namespace contexture
