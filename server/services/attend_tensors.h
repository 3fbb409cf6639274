#pragma once

#include <vector>

#include "absl/status/status.h"
#include "contexture/v1/encoder.pb.h"
#include "core/nn/attend.h"

namespace contexture {

// The numbers of an AttendRequest, aligned and checked.
class AttendTensors {
 public:
  // Copies the tensors and sets the pointers of ARGS, whose shapes are those of REQUEST, to them.
  // INVALID_ARGUMENT: NaN or infinity, but for a mask's -infinity; a query that sees no key.
  absl::Status Load(const v1::AttendRequest& request, nn::AttendArgs& args);

 private:
  absl::Status LoadInputs(const v1::AttendRequest& request, nn::AttendArgs& args);
  absl::Status LoadInputProjections(const v1::AttendProjections& projections, nn::AttendArgs& args);
  absl::Status LoadOutputProjection(const v1::AttendProjections& projections, nn::AttendArgs& args);
  absl::Status LoadMask(const v1::Tensor& mask, nn::AttendArgs& args);

  std::vector<float> query_, key_, value_, mask_;
  std::vector<float> query_weight_, key_weight_, value_weight_, input_bias_;
  std::vector<float> output_weight_, output_bias_;
};

}  // namespace contexture
