#include "server/services/output_specs.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "server/services/culprits.h"

namespace contexture {
namespace {

std::string Field(int index, absl::string_view name) {
  return absl::StrFormat("outputs[%d].%s", index, name);
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
    case v1::DATA_TYPE_BINARY:
      return DataType::kBinary;
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

OutputKind FromProto(v1::OutputKind kind) {
  switch (kind) {
    case v1::OUTPUT_KIND_TOKENS:
      return OutputKind::kTokens;
    case v1::OUTPUT_KIND_SPANS:
      return OutputKind::kSpans;
    case v1::OUTPUT_KIND_MULTI_VECTOR:
      return OutputKind::kHead;
    default:
      return OutputKind::kPooled;
  }
}

// That no field was given which another kind or data type has.
absl::Status CheckApplicable(const v1::OutputSpec& spec, int index) {
  if (spec.kind() == v1::OUTPUT_KIND_TOKENS && spec.pooling() != v1::POOLING_UNSPECIFIED) {
    return MakeError(ErrorReason::kPoolingNotApplicable,
                     "pooling was given, but OUTPUT_KIND_TOKENS has a vector for each token",
                     {Field(index, "pooling"), {{"pooling", v1::Pooling_Name(spec.pooling())}}});
  }
  const auto refuse = [index](absl::string_view field, const std::string& of) {
    return MakeError(ErrorReason::kOptionNotApplicable, absl::StrCat("was given, but is of ", of),
                     {Field(index, field), {{"of", of}}});
  };
  if (spec.top_k() != 0 && spec.kind() != v1::OUTPUT_KIND_SPARSE) {
    return refuse("top_k", "OUTPUT_KIND_SPARSE only");
  }
  if (spec.has_windows() && spec.kind() != v1::OUTPUT_KIND_SPANS) {
    return refuse("windows", "OUTPUT_KIND_SPANS only");
  }
  if (spec.has_int8_ranges() && spec.data_type() != v1::DATA_TYPE_INT8) {
    return refuse("int8_ranges", "DATA_TYPE_INT8 only");
  }
  return absl::OkStatus();
}

absl::Status CheckSparse(const v1::OutputSpec& spec, int index) {
  const auto refuse = [index](absl::string_view field) {
    return MakeError(ErrorReason::kOptionNotApplicable,
                     "was given, but OUTPUT_KIND_SPARSE has no such choice",
                     {Field(index, field), {{"kind", "OUTPUT_KIND_SPARSE"}}});
  };
  if (spec.pooling() > v1::POOLING_MODEL_DEFAULT && spec.pooling() != v1::POOLING_MAX) {
    return refuse("pooling");
  }
  if (spec.normalization() > v1::NORMALIZATION_NONE) return refuse("normalization");
  if (spec.dimensions() != 0) return refuse("dimensions");
  if (spec.has_layer()) return refuse("layer");
  if (spec.data_type() > v1::DATA_TYPE_FLOAT16) return refuse("data_type");
  return absl::OkStatus();
}

absl::StatusOr<ResolvedOutput> ResolveSparse(const v1::OutputSpec& spec, int index,
                                             const EngineInfo& info) {
  CTX_RETURN_IF_ERROR(CheckSparse(spec, index));
  const std::vector<HeadConfig>& heads = info.config.heads;
  const auto head = std::find_if(heads.begin(), heads.end(), [](const HeadConfig& one) {
    return one.task == HeadTask::kMaskedLm;
  });
  if (head == heads.end()) {
    return MakeError(ErrorReason::kHeadMissing,
                     absl::StrFormat("a %s without a %s head has no sparse weights",
                                     info.config.model_type, Name(HeadTask::kMaskedLm)),
                     {Field(index, "kind"), {{"needed", Name(HeadTask::kMaskedLm)}}});
  }
  SparseConfig config = info.pooling.sparse;
  if (spec.pooling() == v1::POOLING_MAX) config.pooling = SparsePooling::kMax;
  ResolvedOutput output;
  output.sparse = {.wanted = true, .top_k = spec.top_k(), .data_type = FromProto(spec.data_type())};
  output.spec = {.kind = OutputKind::kHead,
                 .dimensions = head->num_outputs,
                 .head = {.index = static_cast<int>(head - heads.begin()),
                          .rows = HeadRows::kEach,
                          .sparse = config.pooling,
                          .log_twice = config.log_twice}};
  return output;
}

// Of OUTPUT_KIND_MULTI_VECTOR, all but the fields of vectors.
absl::StatusOr<const HeadConfig*> FindTokenHead(const v1::OutputSpec& spec, int index,
                                                const EngineInfo& info) {
  const auto refuse = [index](absl::string_view field) {
    return MakeError(ErrorReason::kOptionNotApplicable,
                     "was given, but OUTPUT_KIND_MULTI_VECTOR has no such choice",
                     {Field(index, field), {{"kind", "OUTPUT_KIND_MULTI_VECTOR"}}});
  };
  if (spec.pooling() != v1::POOLING_UNSPECIFIED) return refuse("pooling");
  if (spec.has_layer()) return refuse("layer");
  for (const HeadConfig& head : info.config.heads) {
    if (head.task == HeadTask::kLateInteraction) return &head;
  }
  return MakeError(ErrorReason::kHeadMissing,
                   absl::StrFormat("a %s without a %s head has no such vectors",
                                   info.config.model_type, Name(HeadTask::kLateInteraction)),
                   {Field(index, "kind"), {{"needed", Name(HeadTask::kLateInteraction)}}});
}

absl::StatusOr<int> ResolveLayer(const v1::OutputSpec& spec, int index,
                                 const EncoderConfig& config) {
  if (!spec.has_layer()) return kAllLayers;
  if (config.decoder.num_layers > 0) {
    return MakeError(
        ErrorReason::kLayerNotComputed,
        absl::StrFormat("a %s has a decoder, whose layers are not shown", config.model_type),
        {Field(index, "layer"), {{"model_type", config.model_type}}});
  }
  if (spec.layer() > static_cast<uint32_t>(config.num_layers)) {
    return MakeError(
        ErrorReason::kLayerOutOfRange,
        absl::StrFormat("%d layers asked for, the model has %d", spec.layer(), config.num_layers),
        GotAndMax(Field(index, "layer"), spec.layer(), config.num_layers));
  }
  const int layer = static_cast<int>(spec.layer());
  return layer == config.num_layers ? kAllLayers : layer;
}

absl::StatusOr<WindowRule> ResolveWindows(const v1::OutputSpec& spec, int index) {
  if (!spec.has_windows()) return WindowRule();
  const uint32_t size = spec.windows().size();
  const uint32_t stride = spec.windows().stride() == 0 ? size : spec.windows().stride();
  if (size > 0 && stride <= size) return WindowRule{size, stride};
  return MakeError(
      ErrorReason::kWindowsInvalid,
      absl::StrFormat("size %d and stride %d: the size is at least 1 and the stride at most that",
                      size, stride),
      {Field(index, "windows"), {{"size", absl::StrCat(size)}, {"stride", absl::StrCat(stride)}}});
}

absl::StatusOr<std::vector<float>> ResolveRanges(const v1::OutputSpec& spec, int index,
                                                 int dimensions) {
  std::vector<float> ranges;
  if (!spec.has_int8_ranges()) return ranges;
  const v1::Int8Ranges& given = spec.int8_ranges();
  const std::string field = Field(index, "int8_ranges");
  if (given.min_size() != dimensions || given.max_size() != dimensions) {
    return MakeError(ErrorReason::kInt8RangesInvalid,
                     absl::StrFormat("%d minima and %d maxima for %d dimensions", given.min_size(),
                                     given.max_size(), dimensions),
                     {field,
                      {{"min", absl::StrCat(given.min_size())},
                       {"max", absl::StrCat(given.max_size())},
                       {"dimensions", absl::StrCat(dimensions)}}});
  }
  ranges.resize(2 * static_cast<size_t>(dimensions));
  for (int c = 0; c < dimensions; ++c) {
    const float step = (given.max(c) - given.min(c)) / 255.0f;
    ranges[c] = given.min(c);
    ranges[dimensions + c] = step;
    if (std::isfinite(given.min(c)) && std::isfinite(step) && step > 0.0f) continue;
    return MakeError(ErrorReason::kInt8RangesInvalid,
                     absl::StrFormat("dimension %d from %g to %g; the first is below the second, "
                                     "both are finite",
                                     c, given.min(c), given.max(c)),
                     {field,
                      {{"dimension", absl::StrCat(c)},
                       {"min", absl::StrCat(given.min(c))},
                       {"max", absl::StrCat(given.max(c))}}});
  }
  return ranges;
}

}  // namespace

absl::StatusOr<ResolvedOutput> ResolveOutput(const v1::OutputSpec& spec, int index,
                                             const EngineInfo& info) {
  CTX_RETURN_IF_ERROR(CheckEnums(spec, index));
  CTX_RETURN_IF_ERROR(CheckApplicable(spec, index));
  if (spec.kind() == v1::OUTPUT_KIND_SPARSE) return ResolveSparse(spec, index, info);
  const bool tokens = spec.kind() == v1::OUTPUT_KIND_TOKENS;
  const HeadConfig* head = nullptr;  // of OUTPUT_KIND_MULTI_VECTOR
  if (spec.kind() == v1::OUTPUT_KIND_MULTI_VECTOR) {
    CTX_ASSIGN_OR_RETURN(head, FindTokenHead(spec, index, info));
  }
  const PoolingKind pooling = FromProto(spec.pooling(), info.pooling.kind);
  const int hidden_size = info.config.hidden_size;
  const int size = head != nullptr                            ? head->num_outputs
                   : tokens || pooling != PoolingKind::kModel ? hidden_size
                                                              : info.pooling.Size(hidden_size);
  CTX_RETURN_IF_ERROR(CheckDimensions(spec.dimensions(), index, size));
  ResolvedOutput output;
  output.spec = {.kind = FromProto(spec.kind()),
                 .pooling = pooling,
                 .normalize = Normalizes(spec, head != nullptr ? info.late_interaction->normalize
                                                               : info.pooling.normalize),
                 .dimensions = spec.dimensions() == 0 ? size : static_cast<int>(spec.dimensions()),
                 .data_type = FromProto(spec.data_type())};
  if (head != nullptr) {
    output.spec.head = {.index = static_cast<int>(head - info.config.heads.data()),
                        .rows = HeadRows::kChosen};
  }
  CTX_ASSIGN_OR_RETURN(output.spec.layer, ResolveLayer(spec, index, info.config));
  CTX_ASSIGN_OR_RETURN(output.windows, ResolveWindows(spec, index));
  CTX_ASSIGN_OR_RETURN(output.int8_ranges, ResolveRanges(spec, index, output.spec.dimensions));
  if (output.spec.data_type == DataType::kInt8 && !output.spec.normalize &&
      output.int8_ranges.empty()) {
    return MakeError(
        ErrorReason::kInt8NeedsNormalization,
        "DATA_TYPE_INT8 is for L2-normalised vectors only, and this output is not: set "
        "normalization to NORMALIZATION_L2, or int8_ranges",
        {Field(index, "data_type"), {}});
  }
  return output;
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
    case DataType::kBinary:
      return v1::DATA_TYPE_BINARY;
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
