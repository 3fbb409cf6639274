#include "server/services/attend_tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "server/services/status_mapping.h"

namespace contexture {
namespace {

constexpr float kHidden = -std::numeric_limits<float>::infinity();

void Copy(const v1::Tensor& tensor, std::vector<float>& values) {
  values.resize(tensor.data().size() / sizeof(float));
  std::memcpy(values.data(), tensor.data().data(), values.size() * sizeof(float));
}

template <typename Allowed>
absl::Status CheckValues(const std::vector<float>& values, const std::string& field,
                         Allowed allowed) {
  const auto bad = std::find_if_not(values.begin(), values.end(), allowed);
  if (bad == values.end()) return absl::OkStatus();
  const auto at = bad - values.begin();
  return MakeError(ErrorReason::kValueNotFinite,
                   absl::StrFormat("element %d is %f, a finite number is needed", at, *bad),
                   {field, {{"element", absl::StrCat(at)}, {"got", absl::StrFormat("%f", *bad)}}});
}

absl::Status Load(const v1::Tensor& tensor, const std::string& field, std::vector<float>& values) {
  Copy(tensor, values);
  return CheckValues(values, field, [](float x) { return std::isfinite(x); });
}

absl::Status LoadProjection(const v1::Tensor& tensor, const std::string& name,
                            std::vector<float>& values, nn::Projection& projection) {
  if (!projection.weight.present()) return absl::OkStatus();
  CTX_RETURN_IF_ERROR(Load(tensor, absl::StrCat("projections.", name), values));
  projection.weight.data = values.data();
  return absl::OkStatus();
}

// That every query sees a key.
absl::Status CheckVisible(const nn::AttendArgs& args) {
  for (int i = 0; i < args.mask.rows; ++i) {
    const float* row = args.mask.data + static_cast<size_t>(i) * args.mask.columns;
    const int keys = args.causal ? std::min(i + 1, args.mask.columns) : args.mask.columns;
    if (std::any_of(row, row + keys, [](float x) { return x != kHidden; })) continue;
    return MakeError(
        ErrorReason::kNoVisibleKey,
        absl::StrFormat("query %d sees none of the %d keys%s, at least 1 is needed", i,
                        args.mask.columns, args.causal ? " up to it" : ""),
        {"mask", {{"query", absl::StrCat(i)}, {"keys", absl::StrCat(args.mask.columns)}}});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AttendTensors::Load(const v1::AttendRequest& request, nn::AttendArgs& args) {
  CTX_RETURN_IF_ERROR(LoadInputs(request, args));
  CTX_RETURN_IF_ERROR(LoadInputProjections(request.projections(), args));
  CTX_RETURN_IF_ERROR(LoadOutputProjection(request.projections(), args));
  return request.has_mask() ? LoadMask(request.mask(), args) : absl::OkStatus();
}

absl::Status AttendTensors::LoadInputs(const v1::AttendRequest& request, nn::AttendArgs& args) {
  CTX_RETURN_IF_ERROR(contexture::Load(request.queries(), "queries", query_));
  args.query.data = args.key.data = query_.data();
  if (request.has_keys()) {
    CTX_RETURN_IF_ERROR(contexture::Load(request.keys(), "keys", key_));
    args.key.data = key_.data();
  }
  args.value.data = args.key.data;
  if (request.has_values()) {
    CTX_RETURN_IF_ERROR(contexture::Load(request.values(), "values", value_));
    args.value.data = value_.data();
  }
  return absl::OkStatus();
}

absl::Status AttendTensors::LoadInputProjections(const v1::AttendProjections& projections,
                                                 nn::AttendArgs& args) {
  nn::Projection* const parts[] = {&args.query_projection, &args.key_projection,
                                   &args.value_projection};
  if (projections.has_in_proj_weight()) {
    CTX_RETURN_IF_ERROR(contexture::Load(projections.in_proj_weight(), "projections.in_proj_weight",
                                         query_weight_));
    for (int i = 0; i < 3; ++i) {
      parts[i]->weight.data = query_weight_.data() + query_weight_.size() / 3 * i;
    }
  } else {
    CTX_RETURN_IF_ERROR(LoadProjection(projections.q_proj_weight(), "q_proj_weight", query_weight_,
                                       args.query_projection));
    CTX_RETURN_IF_ERROR(LoadProjection(projections.k_proj_weight(), "k_proj_weight", key_weight_,
                                       args.key_projection));
    CTX_RETURN_IF_ERROR(LoadProjection(projections.v_proj_weight(), "v_proj_weight", value_weight_,
                                       args.value_projection));
  }
  if (!projections.has_in_proj_bias()) return absl::OkStatus();
  CTX_RETURN_IF_ERROR(
      contexture::Load(projections.in_proj_bias(), "projections.in_proj_bias", input_bias_));
  const float* bias = input_bias_.data();
  for (nn::Projection* part : parts) {
    part->bias = bias;
    bias += part->weight.rows;
  }
  return absl::OkStatus();
}

absl::Status AttendTensors::LoadOutputProjection(const v1::AttendProjections& projections,
                                                 nn::AttendArgs& args) {
  CTX_RETURN_IF_ERROR(LoadProjection(projections.out_proj_weight(), "out_proj_weight",
                                     output_weight_, args.output_projection));
  if (!projections.has_out_proj_bias()) return absl::OkStatus();
  CTX_RETURN_IF_ERROR(
      contexture::Load(projections.out_proj_bias(), "projections.out_proj_bias", output_bias_));
  args.output_projection.bias = output_bias_.data();
  return absl::OkStatus();
}

absl::Status AttendTensors::LoadMask(const v1::Tensor& mask, nn::AttendArgs& args) {
  if (mask.data_type() == v1::DATA_TYPE_INT8) {
    mask_.reserve(mask.data().size());
    for (char seen : mask.data()) mask_.push_back(seen == 0 ? kHidden : 0.0f);
  } else {
    Copy(mask, mask_);
    CTX_RETURN_IF_ERROR(
        CheckValues(mask_, "mask", [](float x) { return std::isfinite(x) || x == kHidden; }));
  }
  args.mask.data = mask_.data();
  return CheckVisible(args);
}

}  // namespace contexture
