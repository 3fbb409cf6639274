#include "server/services/attend_plan.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "server/services/culprits.h"
#include "server/services/work.h"

namespace contexture {
namespace {

// Upper bound of what protobuf adds to the two tensors of an answer.
constexpr int64_t kAnswerOverhead = 256;
// Of a row of any tensor: what fits a message fits an int.
constexpr int64_t kMaxExtent = 1 << 24;

absl::Status Disagree(absl::string_view field, int got, absl::string_view what, int needed) {
  return MakeError(
      ErrorReason::kShapeMismatch, absl::StrFormat("has %d %s, %d are needed", got, what, needed),
      {std::string(field), {{"got", absl::StrCat(got)}, {"needed", absl::StrCat(needed)}}});
}

absl::Status CheckBytes(const v1::Tensor& tensor, absl::string_view field, int64_t elements) {
  const int64_t element = tensor.data_type() == v1::DATA_TYPE_INT8 ? 1 : 4;
  const auto bytes = static_cast<int64_t>(tensor.data().size());
  if (bytes == elements * element) return absl::OkStatus();
  return MakeError(ErrorReason::kTensorInvalid,
                   absl::StrFormat("has %d bytes of data, its shape [%s] needs %d", bytes,
                                   absl::StrJoin(tensor.shape(), ", "), elements * element),
                   {std::string(field),
                    {{"got", absl::StrCat(bytes)}, {"needed", absl::StrCat(elements * element)}}});
}

absl::Status CheckType(const v1::Tensor& tensor, absl::string_view field, bool takes_int8) {
  const v1::DataType type = tensor.data_type();
  if (type == v1::DATA_TYPE_UNSPECIFIED || type == v1::DATA_TYPE_FLOAT32 ||
      (takes_int8 && type == v1::DATA_TYPE_INT8)) {
    return absl::OkStatus();
  }
  return MakeError(
      ErrorReason::kTensorInvalid,
      absl::StrFormat("has data type %d, needed is %d, FLOAT32%s", static_cast<int>(type),
                      v1::DATA_TYPE_FLOAT32, takes_int8 ? ", or 4, INT8" : ""),
      {std::string(field), {{"got", absl::StrCat(type)}, {"needed", "1"}}});
}

// A tensor of the request and how messages call it.
struct Given {
  const v1::Tensor& tensor;
  std::string field;
  int rank = 2;
  bool takes_int8 = false;
};

// The shape, without data; of rank 1 the one extent is the rows.
absl::StatusOr<nn::MatrixView> ReadShape(const Given& given) {
  CTX_RETURN_IF_ERROR(CheckType(given.tensor, given.field, given.takes_int8));
  if (given.tensor.shape_size() != given.rank) {
    return Disagree(given.field, given.tensor.shape_size(), "dimensions", given.rank);
  }
  int64_t elements = 1;
  for (int64_t extent : given.tensor.shape()) {
    if (extent < 1 || extent > kMaxExtent) {
      return MakeError(
          ErrorReason::kTensorInvalid,
          absl::StrFormat("has an extent of %d, allowed are 1 to %d", extent, kMaxExtent),
          GotAndMax(given.field, extent, kMaxExtent));
    }
    elements *= extent;
  }
  CTX_RETURN_IF_ERROR(CheckBytes(given.tensor, given.field, elements));
  return nn::MatrixView{nullptr, static_cast<int>(given.tensor.shape(0)),
                        given.rank == 1 ? 1 : static_cast<int>(given.tensor.shape(1))};
}

absl::StatusOr<nn::MatrixView> ReadVectors(const v1::Tensor& tensor, const std::string& field) {
  CTX_ASSIGN_OR_RETURN(const nn::MatrixView shape, ReadShape({tensor, field}));
  if (shape.rows <= kMaxAttendRows) return shape;
  return MakeError(
      ErrorReason::kTensorInvalid,
      absl::StrFormat("has %d rows, at most %d are allowed", shape.rows, kMaxAttendRows),
      GotAndMax(field, shape.rows, kMaxAttendRows));
}

absl::Status ReadInputs(const v1::AttendRequest& request, nn::AttendArgs& args) {
  if (!request.has_queries()) {
    return MakeError(ErrorReason::kTensorMissing, "is missing", {"queries", {}});
  }
  CTX_ASSIGN_OR_RETURN(args.query, ReadVectors(request.queries(), "queries"));
  args.key = args.query;
  if (request.has_keys()) {
    CTX_ASSIGN_OR_RETURN(args.key, ReadVectors(request.keys(), "keys"));
  }
  args.value = args.key;
  if (request.has_values()) {
    CTX_ASSIGN_OR_RETURN(args.value, ReadVectors(request.values(), "values"));
  }
  if (args.value.rows == args.key.rows) return absl::OkStatus();
  return Disagree("values", args.value.rows, "rows, one for each key", args.key.rows);
}

// A weight for inputs of IN columns.
absl::Status ReadWeight(const v1::Tensor& tensor, const std::string& name, int in,
                        nn::Projection& projection) {
  const std::string field = absl::StrCat("projections.", name);
  CTX_ASSIGN_OR_RETURN(projection.weight, ReadShape({tensor, field}));
  if (projection.weight.columns == in) return absl::OkStatus();
  return Disagree(field, projection.weight.columns, "columns", in);
}

absl::Status ReadFusedWeight(const v1::AttendProjections& projections, nn::AttendArgs& args) {
  const std::string name = "in_proj_weight", field = absl::StrCat("projections.", name);
  if (projections.has_q_proj_weight() || projections.has_k_proj_weight() ||
      projections.has_v_proj_weight()) {
    return MakeError(ErrorReason::kTensorInvalid,
                     "is given beside q_proj_weight, k_proj_weight or v_proj_weight; it is in "
                     "place of them",
                     {field, {}});
  }
  nn::Projection fused;
  for (const nn::MatrixView* input : {&args.query, &args.key, &args.value}) {
    CTX_RETURN_IF_ERROR(ReadWeight(projections.in_proj_weight(), name, input->columns, fused));
  }
  if (fused.weight.rows % 3 != 0) {
    return Disagree(field, fused.weight.rows, "rows, of queries, keys and values",
                    (fused.weight.rows / 3 + 1) * 3);
  }
  fused.weight.rows /= 3;
  args.query_projection = args.key_projection = args.value_projection = fused;
  return absl::OkStatus();
}

absl::Status ReadInputWeights(const v1::AttendProjections& projections, nn::AttendArgs& args) {
  if (projections.has_in_proj_weight()) return ReadFusedWeight(projections, args);
  if (projections.has_q_proj_weight()) {
    CTX_RETURN_IF_ERROR(ReadWeight(projections.q_proj_weight(), "q_proj_weight", args.query.columns,
                                   args.query_projection));
  }
  if (projections.has_k_proj_weight()) {
    CTX_RETURN_IF_ERROR(ReadWeight(projections.k_proj_weight(), "k_proj_weight", args.key.columns,
                                   args.key_projection));
  }
  if (projections.has_v_proj_weight()) {
    CTX_RETURN_IF_ERROR(ReadWeight(projections.v_proj_weight(), "v_proj_weight", args.value.columns,
                                   args.value_projection));
  }
  return absl::OkStatus();
}

absl::Status ReadBias(const v1::Tensor& tensor, const std::string& name, int size) {
  const std::string field = absl::StrCat("projections.", name);
  CTX_ASSIGN_OR_RETURN(const nn::MatrixView bias, ReadShape({tensor, field, 1}));
  if (bias.rows == size) return absl::OkStatus();
  return Disagree(field, bias.rows, "elements", size);
}

absl::Status ReadInputBias(const v1::AttendProjections& projections, const nn::AttendArgs& args) {
  if (!projections.has_in_proj_bias()) return absl::OkStatus();
  int size = 0;
  for (const nn::Projection* projection :
       {&args.query_projection, &args.key_projection, &args.value_projection}) {
    if (!projection->weight.present()) {
      return MakeError(ErrorReason::kTensorInvalid,
                       "is given, but not the weights of queries, keys and values",
                       {"projections.in_proj_bias", {}});
    }
    size += projection->weight.rows;
  }
  return ReadBias(projections.in_proj_bias(), "in_proj_bias", size);
}

absl::Status ReadOutputProjection(const v1::AttendProjections& projections, int value_columns,
                                  AttendPlan& plan) {
  plan.context_columns = value_columns;
  if (projections.has_out_proj_weight()) {
    CTX_RETURN_IF_ERROR(ReadWeight(projections.out_proj_weight(), "out_proj_weight", value_columns,
                                   plan.args.output_projection));
    plan.context_columns = plan.args.output_projection.weight.rows;
  } else if (projections.has_out_proj_bias()) {
    return MakeError(ErrorReason::kTensorInvalid, "is given, but no out_proj_weight",
                     {"projections.out_proj_bias", {}});
  }
  if (!projections.has_out_proj_bias()) return absl::OkStatus();
  return ReadBias(projections.out_proj_bias(), "out_proj_bias", plan.context_columns);
}

absl::Status ReadHeads(const v1::AttendRequest& request, int query_columns, int value_columns,
                       nn::AttendArgs& args) {
  const uint32_t heads = std::max(1u, request.num_heads());
  for (const auto& [columns, what] :
       {std::pair(query_columns, "queries"), {value_columns, "values"}}) {
    if (columns % static_cast<int64_t>(heads) == 0) continue;
    return MakeError(
        ErrorReason::kHeadsNotDivisible,
        absl::StrFormat("the %s have %d elements, which %d heads do not divide", what, columns,
                        heads),
        {"num_heads", {{"num_heads", absl::StrCat(heads)}, {"elements", absl::StrCat(columns)}}});
  }
  args.num_heads = static_cast<int>(heads);
  if (!request.has_scale()) return absl::OkStatus();
  args.scale = request.scale();
  if (std::isfinite(request.scale())) return absl::OkStatus();
  return MakeError(ErrorReason::kValueNotFinite,
                   absl::StrFormat("is %f, a finite number is needed", request.scale()),
                   {"scale", {{"got", absl::StrCat(request.scale())}}});
}

absl::Status ReadMask(const v1::AttendRequest& request, nn::AttendArgs& args) {
  args.causal = request.causal();
  if (!request.has_mask()) return absl::OkStatus();
  CTX_ASSIGN_OR_RETURN(args.mask,
                       ReadShape({.tensor = request.mask(), .field = "mask", .takes_int8 = true}));
  if (args.mask.rows != args.query.rows) {
    return Disagree("mask", args.mask.rows, "rows, one for each query", args.query.rows);
  }
  if (args.mask.columns == args.key.rows) return absl::OkStatus();
  return Disagree("mask", args.mask.columns, "columns, one for each key", args.key.rows);
}

absl::StatusOr<int64_t> AnswerBytes(const v1::AttendRequest& request, const AttendPlan& plan,
                                    const ServedModel& model) {
  const int64_t queries = plan.args.query.rows, keys = plan.args.key.rows;
  int64_t elements = queries * plan.context_columns;
  if (!request.omit_weights()) elements += plan.args.num_heads * queries * keys;
  const int64_t bytes = kAnswerOverhead + elements * static_cast<int64_t>(sizeof(float));
  if (bytes <= model.max_message_bytes) return bytes;
  return MakeError(ErrorReason::kAnswerTooLarge,
                   absl::StrFormat("the answer would take about %d bytes, a message has at most "
                                   "%d: send fewer queries or set omit_weights",
                                   bytes, model.max_message_bytes),
                   GotAndMax("queries", bytes, model.max_message_bytes));
}

absl::StatusOr<int64_t> BetweenBytes(const nn::AttendArgs& args, const ServedModel& model) {
  const auto projected = [](const nn::Projection& projection, int64_t rows) {
    return projection.weight.present() ? rows * projection.weight.rows : 0;
  };
  const int64_t queries = args.query.rows, keys = args.key.rows;
  const int64_t elements =
      projected(args.query_projection, queries) + projected(args.key_projection, keys) +
      projected(args.value_projection, keys) + projected(args.output_projection, queries) +
      queries * args.value_projection.out(args.value.columns);
  const int64_t bytes = elements * static_cast<int64_t>(sizeof(float));
  const int64_t max = kMaxBetween * model.max_message_bytes;
  if (bytes <= max) return bytes;
  return MakeError(ErrorReason::kTensorInvalid,
                   absl::StrFormat("the projected vectors would take %d bytes, at most %d are "
                                   "allowed: send fewer queries and keys",
                                   bytes, max),
                   GotAndMax("projections", bytes, max));
}

// What the request costs, as tokens of the model that is served.
absl::StatusOr<int64_t> CostInTokens(const nn::AttendArgs& args, const ServedModel& model) {
  const double products = nn::AttendProducts(args);
  if (products > kMaxAttendProducts) {
    return MakeError(ErrorReason::kTensorInvalid,
                     absl::StrFormat("attention of %d queries to %d keys in %d heads takes %.3g "
                                     "products, at most %.3g are allowed: send fewer queries",
                                     args.query.rows, args.key.rows, args.num_heads, products,
                                     kMaxAttendProducts),
                     GotAndMax("queries", std::llround(std::min(products, 9e18)),
                               std::llround(kMaxAttendProducts)));
  }
  return std::max<int64_t>(1, TokensOf(products, model.info.config));
}

}  // namespace

absl::StatusOr<AttendPlan> PlanAttend(const v1::AttendRequest& request, const ServedModel& model) {
  AttendPlan plan;
  nn::AttendArgs& args = plan.args;
  CTX_RETURN_IF_ERROR(ReadInputs(request, args));
  CTX_RETURN_IF_ERROR(ReadInputWeights(request.projections(), args));
  CTX_RETURN_IF_ERROR(ReadInputBias(request.projections(), args));
  const int query_columns = args.query_projection.out(args.query.columns);
  const int key_columns = args.key_projection.out(args.key.columns);
  const int value_columns = args.value_projection.out(args.value.columns);
  if (key_columns != query_columns) {
    const bool given = request.has_keys() && !request.projections().has_k_proj_weight();
    return Disagree(given ? "keys" : "projections.k_proj_weight", key_columns,
                    "elements in a key, as in a query", query_columns);
  }
  CTX_RETURN_IF_ERROR(ReadHeads(request, query_columns, value_columns, args));
  CTX_RETURN_IF_ERROR(ReadOutputProjection(request.projections(), value_columns, plan));
  CTX_RETURN_IF_ERROR(ReadMask(request, args));
  CTX_ASSIGN_OR_RETURN(plan.answer_bytes, AnswerBytes(request, plan, model));
  CTX_ASSIGN_OR_RETURN(plan.between_bytes, BetweenBytes(args, model));
  CTX_ASSIGN_OR_RETURN(plan.tokens, CostInTokens(args, model));
  return plan;
}

}  // namespace contexture
