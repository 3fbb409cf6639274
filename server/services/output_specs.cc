#include "server/services/output_specs.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "server/services/culprits.h"

namespace contexture {
namespace {

std::string Field(int index, absl::string_view name) {
  return absl::StrFormat("outputs[%d].%s", index, name);
}

absl::Status NotComputed(int index, absl::string_view name) {
  return MakeError(ErrorReason::kOptionNotApplicable, "this server does not compute it",
                   {Field(index, name), {}});
}

absl::Status CheckEnums(const v1::OutputSpec& spec, int index) {
  if (!v1::OutputKind_IsValid(spec.kind())) {
    return UnknownEnumValue(Field(index, "kind"), spec.kind(), v1::OutputKind_MAX);
  }
  if (!v1::Pooling_IsValid(spec.pooling())) {
    return UnknownEnumValue(Field(index, "pooling"), spec.pooling(), v1::Pooling_MAX);
  }
  if (!v1::Normalization_IsValid(spec.normalization())) {
    return UnknownEnumValue(Field(index, "normalization"), spec.normalization(),
                            v1::Normalization_MAX);
  }
  if (!v1::DataType_IsValid(spec.data_type())) {
    return UnknownEnumValue(Field(index, "data_type"), spec.data_type(), v1::DataType_MAX);
  }
  if (spec.kind() > v1::OUTPUT_KIND_TOKENS) return NotComputed(index, "kind");
  if (spec.data_type() > v1::DATA_TYPE_INT8) return NotComputed(index, "data_type");
  if (spec.has_layer()) return NotComputed(index, "layer");
  if (spec.top_k() != 0) return NotComputed(index, "top_k");
  if (spec.has_windows()) return NotComputed(index, "windows");
  if (spec.has_int8_ranges()) return NotComputed(index, "int8_ranges");
  return absl::OkStatus();
}

PoolingKind FromProto(v1::Pooling pooling, PoolingKind model_default) {
  switch (pooling) {
    case v1::POOLING_CLS:
      return PoolingKind::kCls;
    case v1::POOLING_MEAN:
      return PoolingKind::kMean;
    case v1::POOLING_MAX:
      return PoolingKind::kMax;
    case v1::POOLING_LAST:
      return PoolingKind::kLast;
    case v1::POOLING_MEAN_SQRT_LENGTH:
      return PoolingKind::kMeanSqrtLength;
    case v1::POOLING_WEIGHTED_MEAN:
      return PoolingKind::kWeightedMean;
    default:
      return model_default;
  }
}

DataType FromProto(v1::DataType type) {
  switch (type) {
    case v1::DATA_TYPE_BFLOAT16:
      return DataType::kBfloat16;
    case v1::DATA_TYPE_FLOAT16:
      return DataType::kFloat16;
    case v1::DATA_TYPE_INT8:
      return DataType::kInt8;
    default:
      return DataType::kFloat32;
  }
}

bool Normalizes(const v1::OutputSpec& spec, bool model_default) {
  if (spec.normalization() == v1::NORMALIZATION_L2) return true;
  if (spec.normalization() == v1::NORMALIZATION_NONE) return false;
  return spec.kind() != v1::OUTPUT_KIND_TOKENS && model_default;
}

absl::Status CheckDimensions(uint32_t asked, int index, int size) {
  if (asked <= static_cast<uint32_t>(size)) return absl::OkStatus();
  return MakeError(
      ErrorReason::kDimensionsTooLarge,
      absl::StrFormat("%d dimensions asked for, the model has %d", asked, size),
      {Field(index, "dimensions"), {{"got", absl::StrCat(asked)}, {"max", absl::StrCat(size)}}});
}

}  // namespace

absl::StatusOr<OutputSpec> ResolveOutput(const v1::OutputSpec& spec, int index,
                                         const EngineInfo& info) {
  CTX_RETURN_IF_ERROR(CheckEnums(spec, index));
  const bool tokens = spec.kind() == v1::OUTPUT_KIND_TOKENS;
  const PoolingKind pooling = FromProto(spec.pooling(), info.pooling.kind);
  const int hidden_size = info.config.hidden_size;
  const int size =
      tokens || pooling != PoolingKind::kModel ? hidden_size : info.pooling.Size(hidden_size);
  CTX_RETURN_IF_ERROR(CheckDimensions(spec.dimensions(), index, size));
  if (tokens && spec.pooling() != v1::POOLING_UNSPECIFIED) {
    return MakeError(ErrorReason::kPoolingNotApplicable,
                     "pooling was given, but OUTPUT_KIND_TOKENS has a vector for each token",
                     {Field(index, "pooling"), {{"pooling", v1::Pooling_Name(spec.pooling())}}});
  }
  OutputSpec resolved{
      .kind = tokens ? OutputKind::kTokens : OutputKind::kPooled,
      .pooling = pooling,
      .normalize = Normalizes(spec, info.pooling.normalize),
      .dimensions = spec.dimensions() == 0 ? size : static_cast<int>(spec.dimensions()),
      .data_type = FromProto(spec.data_type())};
  if (resolved.data_type == DataType::kInt8 && !resolved.normalize) {
    return MakeError(
        ErrorReason::kInt8NeedsNormalization,
        "DATA_TYPE_INT8 is for L2-normalised vectors only, and this output is not: set "
        "normalization to NORMALIZATION_L2",
        {Field(index, "data_type"), {}});
  }
  return resolved;
}

v1::DataType ToProto(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return v1::DATA_TYPE_FLOAT32;
    case DataType::kBfloat16:
      return v1::DATA_TYPE_BFLOAT16;
    case DataType::kFloat16:
      return v1::DATA_TYPE_FLOAT16;
    case DataType::kInt8:
      return v1::DATA_TYPE_INT8;
    case DataType::kInt64:
      break;  // stored tensors only
  }
  return v1::DATA_TYPE_UNSPECIFIED;
}

v1::Pooling ToProto(PoolingKind kind) {
  switch (kind) {
    case PoolingKind::kCls:
      return v1::POOLING_CLS;
    case PoolingKind::kMean:
      return v1::POOLING_MEAN;
    case PoolingKind::kMax:
      return v1::POOLING_MAX;
    case PoolingKind::kLast:
      return v1::POOLING_LAST;
    case PoolingKind::kMeanSqrtLength:
      return v1::POOLING_MEAN_SQRT_LENGTH;
    case PoolingKind::kWeightedMean:
      return v1::POOLING_WEIGHTED_MEAN;
    case PoolingKind::kModel:
      return v1::POOLING_MODEL_DEFAULT;
  }
  return v1::POOLING_UNSPECIFIED;
}

}  // namespace contexture
