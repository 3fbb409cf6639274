#include "server/services/inspect_plan.h"

#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "server/services/culprits.h"

namespace contexture {
namespace {

// Upper bounds of what protobuf adds to a tensor's data, and of a token with its text.
constexpr int64_t kTensorOverhead = 64;
constexpr int64_t kTokenBytes = 64;

struct KindRow {
  v1::InspectKind proto;
  InspectKind kind;
};
constexpr KindRow kKinds[] = {
    {v1::INSPECT_KIND_TOKEN_EMBEDDINGS, InspectKind::kTokenEmbeddings},
    {v1::INSPECT_KIND_SCALED_EMBEDDINGS, InspectKind::kScaledEmbeddings},
    {v1::INSPECT_KIND_POSITION_VECTORS, InspectKind::kPositionVectors},
    {v1::INSPECT_KIND_EMBEDDING_SUM, InspectKind::kEmbeddingSum},
    {v1::INSPECT_KIND_EMBEDDING_OUTPUT, InspectKind::kEmbeddingOutput},
    {v1::INSPECT_KIND_QUERY, InspectKind::kQuery},
    {v1::INSPECT_KIND_KEY, InspectKind::kKey},
    {v1::INSPECT_KIND_VALUE, InspectKind::kValue},
    {v1::INSPECT_KIND_SCORES, InspectKind::kScores},
    {v1::INSPECT_KIND_ATTENTION_WEIGHTS, InspectKind::kAttentionWeights},
    {v1::INSPECT_KIND_CONTEXT, InspectKind::kContext},
    {v1::INSPECT_KIND_ATTENTION_OUTPUT, InspectKind::kAttentionOutput},
    {v1::INSPECT_KIND_LAYER_OUTPUT, InspectKind::kLayerOutput},
    {v1::INSPECT_KIND_OUTPUT, InspectKind::kOutput},
    {v1::INSPECT_KIND_POSITION_MATRIX, InspectKind::kPositionMatrix},
};

v1::InspectKind ToProto(InspectKind kind) {
  for (const KindRow& row : kKinds) {
    if (row.kind == kind) return row.proto;
  }
  return v1::INSPECT_KIND_UNSPECIFIED;
}

absl::StatusOr<InspectKind> FromProto(v1::InspectKind kind, const std::string& field) {
  for (const KindRow& row : kKinds) {
    if (row.proto == kind) return row.kind;
  }
  if (kind != v1::INSPECT_KIND_UNSPECIFIED) {
    return UnknownEnumValue(field, kind, v1::InspectKind_MAX);
  }
  return MakeError(ErrorReason::kUnknownEnumValue,
                   absl::StrFormat("a kind is needed, from 1 to %d", v1::InspectKind_MAX),
                   {field, {{"got", "0"}, {"max", absl::StrCat(v1::InspectKind_MAX)}}});
}

// Layers or heads that a selection asks for.
struct IndexList {
  const google::protobuf::RepeatedField<uint32_t>& given;
  int count;     // what the model has
  bool applies;  // to the kind
  std::string field;
  const char* what;  // "layer"
  ErrorReason out_of_range;
};

// The indices themselves; all of them where none is given, {0} where the kind has none.
absl::StatusOr<std::vector<int>> ResolveIndices(const IndexList& list) {
  if (!list.applies) {
    if (list.given.empty()) return std::vector<int>{0};
    return MakeError(
        ErrorReason::kSelectionNotApplicable,
        absl::StrFormat("%d given, but this kind has no %ss", list.given.size(), list.what),
        GotAndMax(list.field, list.given.size(), 0));
  }
  if (list.given.size() > list.count) {
    return MakeError(
        list.out_of_range,
        absl::StrFormat("%d %ss given, the model has %d", list.given.size(), list.what, list.count),
        GotAndMax(list.field, list.given.size(), list.count));
  }
  std::vector<int> indices(list.given.begin(), list.given.end());
  for (int i = 0; i < list.given.size(); ++i) {
    const uint32_t index = list.given[i];
    if (index < static_cast<uint32_t>(list.count)) continue;
    return MakeError(list.out_of_range,
                     absl::StrFormat("there is no %s %d, the model has %d, counted from 0",
                                     list.what, index, list.count),
                     GotAndMax(absl::StrFormat("%s[%d]", list.field, i), index, list.count - 1));
  }
  if (!indices.empty()) return indices;
  indices.resize(list.count);
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

absl::StatusOr<int> ResolvePositions(const v1::InspectSelection& selection, InspectKind kind,
                                     const std::string& field, int max_positions) {
  const uint32_t given = selection.num_positions();
  if (kind != InspectKind::kPositionMatrix && given > 0) {
    return MakeError(ErrorReason::kSelectionNotApplicable,
                     absl::StrFormat("%d given, but only the position matrix has them", given),
                     GotAndMax(field, given, 0));
  }
  if (given > static_cast<uint32_t>(max_positions)) {
    return MakeError(
        ErrorReason::kPositionOutOfRange,
        absl::StrFormat("%d positions asked for, the model has %d", given, max_positions),
        GotAndMax(field, given, max_positions));
  }
  return given == 0 ? max_positions : static_cast<int>(given);
}

absl::Status AddItems(const v1::InspectSelection& selection, int index, const EncoderConfig& config,
                      std::vector<InspectItem>& items) {
  const auto field = [index](absl::string_view name) {
    return absl::StrFormat("selections[%d].%s", index, name);
  };
  CTX_ASSIGN_OR_RETURN(const InspectKind kind, FromProto(selection.kind(), field("kind")));
  CTX_ASSIGN_OR_RETURN(const std::vector<int> layers,
                       ResolveIndices({selection.layers(), config.num_layers, HasLayer(kind),
                                       field("layers"), "layer", ErrorReason::kLayerOutOfRange}));
  CTX_ASSIGN_OR_RETURN(const std::vector<int> heads,
                       ResolveIndices({selection.heads(), config.attention.num_heads, HasHead(kind),
                                       field("heads"), "head", ErrorReason::kHeadOutOfRange}));
  CTX_ASSIGN_OR_RETURN(
      const int positions,
      ResolvePositions(selection, kind, field("num_positions"),
                       std::max(config.max_length, config.max_given_position() + 1)));
  for (int layer : layers) {
    for (int head : heads) {
      items.push_back({.kind = kind, .layer = layer, .head = head, .num_positions = positions});
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSelectionCount(int count) {
  if (count == 0) {
    return MakeError(ErrorReason::kNoSelections,
                     "the request has no selections, at least 1 is needed",
                     {"selections", {{"got", "0"}, {"min", "1"}}});
  }
  if (count <= kMaxSelections) return absl::OkStatus();
  return MakeError(ErrorReason::kTooManySelections,
                   absl::StrFormat("the request has %d selections, at most %d are allowed", count,
                                   kMaxSelections),
                   GotAndMax("selections", count, kMaxSelections));
}

InspectSizes SizesOf(const ServedModel& model, int length) {
  return {model.info.config, model.info.position_columns, length};
}

}  // namespace

absl::StatusOr<InspectPlan> PlanInspect(const v1::InspectRequest& request,
                                        const ServedModel& model) {
  CTX_RETURN_IF_ERROR(CheckModelName(request.model(), model));
  CTX_RETURN_IF_ERROR(CheckSelectionCount(request.selections_size()));
  InspectPlan plan;
  CTX_ASSIGN_OR_RETURN(plan.input_plan.truncation, ResolveTruncation(request.truncation()));
  for (int i = 0; i < request.selections_size(); ++i) {
    CTX_RETURN_IF_ERROR(AddItems(request.selections(i), i, model.info.config, plan.items));
  }
  for (const InspectItem& item : plan.items) {
    plan.needs_input = plan.needs_input || item.kind != InspectKind::kPositionMatrix;
  }
  plan.needs_tokenizer =
      plan.needs_input && (request.input().has_text() || request.input().has_text_pair());
  if (!plan.needs_input || model.info.inspectable) return plan;
  return MakeError(
      ErrorReason::kNotInspectable,
      absl::StrFormat("a %s in precision %s keeps no intermediate results that could be shown; "
                      "encoders without a decoder in precision f32 do",
                      model.info.config.model_type, model.info.precision),
      {"selections",
       {{"model_type", model.info.config.model_type}, {"precision", model.info.precision}}});
}

absl::StatusOr<int64_t> InspectBytes(const InspectPlan& plan, int length,
                                     const ServedModel& model) {
  int64_t bytes = kTokenBytes * length;
  for (const InspectItem& item : plan.items) {
    bytes += kTensorOverhead + InspectShapeOf(item, SizesOf(model, length)).bytes();
  }
  if (bytes <= model.max_message_bytes) return bytes;
  return MakeError(ErrorReason::kAnswerTooLarge,
                   absl::StrFormat("the answer would take about %d bytes, a message has at most "
                                   "%d: select fewer kinds, layers or heads",
                                   bytes, model.max_message_bytes),
                   GotAndMax("selections", bytes, model.max_message_bytes));
}

void LayOut(const ServedModel& model, int length, std::vector<InspectItem>& items,
            v1::InspectResponse& response) {
  for (InspectItem& item : items) {
    const InspectShape shape = InspectShapeOf(item, SizesOf(model, length));
    v1::InspectedTensor& added = *response.add_tensors();
    added.set_kind(ToProto(item.kind));
    if (HasLayer(item.kind)) added.set_layer(item.layer);
    if (HasHead(item.kind)) added.set_head(item.head);
    v1::Tensor& tensor = *added.mutable_tensor();
    tensor.set_data_type(v1::DATA_TYPE_FLOAT32);
    tensor.add_shape(shape.rows);
    tensor.add_shape(shape.columns);
    tensor.mutable_data()->resize(shape.bytes());
    item.destination = &(*tensor.mutable_data())[0];
  }
}

}  // namespace contexture
