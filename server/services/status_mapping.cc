#include "server/services/status_mapping.h"

#include <array>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "server/batching/refusal.h"

namespace contexture {
namespace {

using Code = absl::StatusCode;
using Reason = ErrorReason;

constexpr char kTypeUrlPrefix[] = "type.googleapis.com/";
constexpr absl::Duration kNoRetry = absl::ZeroDuration();
// Where the batcher knows no better: a full queue empties in about this time at the default bound
// on a small machine.
constexpr absl::Duration kQueueRetry = absl::Milliseconds(250);
// A load balancer needs about this time to send the caller elsewhere.
constexpr absl::Duration kUnavailableRetry = absl::Seconds(1);

// A row a reason. NOLINTNEXTLINE(readability-function-size)
const std::array<ErrorRow, kNumErrorReasons>& Table() {
  static const std::array<ErrorRow, kNumErrorReasons> table = {{
      {Reason::kMalformedMessage, "MALFORMED_MESSAGE", Code::kInvalidArgument, kNoRetry},
      {Reason::kModelNotFound, "MODEL_NOT_FOUND", Code::kNotFound, kNoRetry},
      {Reason::kFingerprintMismatch, "FINGERPRINT_MISMATCH", Code::kFailedPrecondition, kNoRetry},
      {Reason::kNoInputs, "NO_INPUTS", Code::kInvalidArgument, kNoRetry},
      {Reason::kTooManyInputs, "TOO_MANY_INPUTS", Code::kInvalidArgument, kNoRetry},
      {Reason::kTooManyOutputs, "TOO_MANY_OUTPUTS", Code::kInvalidArgument, kNoRetry},
      {Reason::kUnknownEnumValue, "UNKNOWN_ENUM_VALUE", Code::kInvalidArgument, kNoRetry},
      {Reason::kUnknownTrafficClass, "UNKNOWN_TRAFFIC_CLASS", Code::kInvalidArgument, kNoRetry},
      {Reason::kDimensionsTooLarge, "DIMENSIONS_TOO_LARGE", Code::kInvalidArgument, kNoRetry},
      {Reason::kPromptUnknown, "PROMPT_UNKNOWN", Code::kInvalidArgument, kNoRetry},
      {Reason::kPoolingNotApplicable, "POOLING_NOT_APPLICABLE", Code::kInvalidArgument, kNoRetry},
      {Reason::kInt8NeedsNormalization, "INT8_NEEDS_NORMALIZATION", Code::kInvalidArgument,
       kNoRetry},
      {Reason::kOptionNotApplicable, "OPTION_NOT_APPLICABLE", Code::kInvalidArgument, kNoRetry},
      {Reason::kInt8RangesInvalid, "INT8_RANGES_INVALID", Code::kInvalidArgument, kNoRetry},
      {Reason::kWindowsInvalid, "WINDOWS_INVALID", Code::kInvalidArgument, kNoRetry},
      {Reason::kLayerNotComputed, "LAYER_NOT_COMPUTED", Code::kFailedPrecondition, kNoRetry},
      {Reason::kSpanInvalid, "SPAN_INVALID", Code::kInvalidArgument, kNoRetry},
      {Reason::kTooManySpans, "TOO_MANY_SPANS", Code::kInvalidArgument, kNoRetry},
      {Reason::kAnswerTooLarge, "ANSWER_TOO_LARGE", Code::kInvalidArgument, kNoRetry},
      {Reason::kInputMissing, "INPUT_MISSING", Code::kInvalidArgument, kNoRetry},
      {Reason::kTextEmpty, "TEXT_EMPTY", Code::kInvalidArgument, kNoRetry},
      {Reason::kTextTooLarge, "TEXT_TOO_LARGE", Code::kInvalidArgument, kNoRetry},
      {Reason::kTextInvalid, "TEXT_INVALID", Code::kInvalidArgument, kNoRetry},
      {Reason::kTokenIdsEmpty, "TOKEN_IDS_EMPTY", Code::kInvalidArgument, kNoRetry},
      {Reason::kTokenIdOutOfRange, "TOKEN_ID_OUT_OF_RANGE", Code::kInvalidArgument, kNoRetry},
      {Reason::kTypeIdOutOfRange, "TYPE_ID_OUT_OF_RANGE", Code::kInvalidArgument, kNoRetry},
      {Reason::kTypeIdCountMismatch, "TYPE_ID_COUNT_MISMATCH", Code::kInvalidArgument, kNoRetry},
      {Reason::kInputTooLong, "INPUT_TOO_LONG", Code::kInvalidArgument, kNoRetry},
      {Reason::kTokenizerMissing, "TOKENIZER_MISSING", Code::kFailedPrecondition, kNoRetry},
      {Reason::kTokenizerUnsuitable, "TOKENIZER_UNSUITABLE", Code::kFailedPrecondition, kNoRetry},
      {Reason::kStreamIdTooLong, "STREAM_ID_TOO_LONG", Code::kInvalidArgument, kNoRetry},
      {Reason::kNoSelections, "NO_SELECTIONS", Code::kInvalidArgument, kNoRetry},
      {Reason::kTooManySelections, "TOO_MANY_SELECTIONS", Code::kInvalidArgument, kNoRetry},
      {Reason::kSelectionNotApplicable, "SELECTION_NOT_APPLICABLE", Code::kInvalidArgument,
       kNoRetry},
      {Reason::kLayerOutOfRange, "LAYER_OUT_OF_RANGE", Code::kInvalidArgument, kNoRetry},
      {Reason::kHeadOutOfRange, "HEAD_OUT_OF_RANGE", Code::kInvalidArgument, kNoRetry},
      {Reason::kPositionOutOfRange, "POSITION_OUT_OF_RANGE", Code::kInvalidArgument, kNoRetry},
      {Reason::kNotInspectable, "NOT_INSPECTABLE", Code::kFailedPrecondition, kNoRetry},
      {Reason::kHeadMissing, "HEAD_MISSING", Code::kFailedPrecondition, kNoRetry},
      {Reason::kCountOutOfRange, "COUNT_OUT_OF_RANGE", Code::kInvalidArgument, kNoRetry},
      {Reason::kScoreFunctionNotApplicable, "SCORE_FUNCTION_NOT_APPLICABLE", Code::kInvalidArgument,
       kNoRetry},
      {Reason::kPositionsNotApplicable, "POSITIONS_NOT_APPLICABLE", Code::kFailedPrecondition,
       kNoRetry},
      {Reason::kPositionCountMismatch, "POSITION_COUNT_MISMATCH", Code::kInvalidArgument, kNoRetry},
      {Reason::kTargetNotApplicable, "TARGET_NOT_APPLICABLE", Code::kFailedPrecondition, kNoRetry},
      {Reason::kTargetMissing, "TARGET_MISSING", Code::kInvalidArgument, kNoRetry},
      {Reason::kTargetInvalid, "TARGET_INVALID", Code::kInvalidArgument, kNoRetry},
      {Reason::kTensorMissing, "TENSOR_MISSING", Code::kInvalidArgument, kNoRetry},
      {Reason::kTensorInvalid, "TENSOR_INVALID", Code::kInvalidArgument, kNoRetry},
      {Reason::kShapeMismatch, "SHAPE_MISMATCH", Code::kInvalidArgument, kNoRetry},
      {Reason::kHeadsNotDivisible, "HEADS_NOT_DIVISIBLE", Code::kInvalidArgument, kNoRetry},
      {Reason::kValueNotFinite, "VALUE_NOT_FINITE", Code::kInvalidArgument, kNoRetry},
      {Reason::kNoVisibleKey, "NO_VISIBLE_KEY", Code::kInvalidArgument, kNoRetry},
      {Reason::kQueueFull, "QUEUE_FULL", Code::kResourceExhausted, kQueueRetry},
      {Reason::kTooLate, "TOO_LATE", Code::kResourceExhausted, kQueueRetry},
      {Reason::kMemoryFull, "MEMORY_FULL", Code::kResourceExhausted, kQueueRetry},
      {Reason::kUnauthenticated, "UNAUTHENTICATED", Code::kUnauthenticated, kNoRetry},
      {Reason::kPermissionDenied, "PERMISSION_DENIED", Code::kPermissionDenied, kNoRetry},
      {Reason::kServerStarting, "SERVER_STARTING", Code::kUnavailable, kUnavailableRetry},
      {Reason::kServerDraining, "SERVER_DRAINING", Code::kUnavailable, kUnavailableRetry},
      {Reason::kDeadlineExceeded, "DEADLINE_EXCEEDED", Code::kDeadlineExceeded, kNoRetry},
      {Reason::kCancelled, "CANCELLED", Code::kCancelled, kNoRetry},
      {Reason::kMaskMissing, "MASK_MISSING", Code::kInvalidArgument, kNoRetry},
      {Reason::kMaskUnknown, "MASK_UNKNOWN", Code::kFailedPrecondition, kNoRetry},
      {Reason::kNothingScored, "NOTHING_SCORED", Code::kInvalidArgument, kNoRetry},
      {Reason::kInternal, "INTERNAL", Code::kInternal, kNoRetry},
  }};
  return table;
}

// The reason of a status that was made without one: by the tokenizer, the batcher or the engine.
ErrorReason ReasonOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return Reason::kTextInvalid;
    case Code::kNotFound:
      return Reason::kModelNotFound;
    case Code::kFailedPrecondition:
      return Reason::kTokenizerUnsuitable;
    case Code::kResourceExhausted:
      return Reason::kMemoryFull;
    case Code::kUnauthenticated:
      return Reason::kUnauthenticated;
    case Code::kPermissionDenied:
      return Reason::kPermissionDenied;
    case Code::kUnavailable:
      return Reason::kServerDraining;
    case Code::kDeadlineExceeded:
      return Reason::kDeadlineExceeded;
    case Code::kCancelled:
      return Reason::kCancelled;
    default:
      return Reason::kInternal;
  }
}

template <typename Message>
void SetPayload(const Message& message, absl::Status& status) {
  status.SetPayload(absl::StrCat(kTypeUrlPrefix, message.GetDescriptor()->full_name()),
                    absl::Cord(message.SerializeAsString()));
}

template <typename Message>
absl::optional<Message> GetPayload(const absl::Status& status) {
  absl::optional<absl::Cord> payload =
      status.GetPayload(absl::StrCat(kTypeUrlPrefix, Message::descriptor()->full_name()));
  Message message;
  if (!payload || !message.ParseFromString(std::string(*payload))) return absl::nullopt;
  return message;
}

void SetRetryDelay(absl::Duration delay, absl::Status& status) {
  google::rpc::RetryInfo retry;
  const timespec time = absl::ToTimespec(delay);
  retry.mutable_retry_delay()->set_seconds(time.tv_sec);
  retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(time.tv_nsec));
  SetPayload(retry, status);
}

void AddReason(const ErrorRow& row, const Culprit& culprit, absl::Status& status) {
  google::rpc::ErrorInfo info;
  info.set_reason(row.name);
  info.set_domain(kErrorDomain);
  for (const auto& [key, value] : culprit.values) (*info.mutable_metadata())[key] = value;
  SetPayload(info, status);
  if (row.retry_delay <= absl::ZeroDuration()) return;
  SetRetryDelay(row.retry_delay, status);
}

}  // namespace

const ErrorRow& RowOf(ErrorReason reason) { return Table()[static_cast<size_t>(reason)]; }

absl::Status MakeError(ErrorReason reason, absl::string_view message, Culprit culprit) {
  const ErrorRow& row = RowOf(reason);
  if (culprit.field.empty()) {
    absl::Status status(row.code, message);
    AddReason(row, culprit, status);
    return status;
  }
  absl::Status status(row.code, absl::StrCat(culprit.field, ": ", message));
  AddReason(row, culprit, status);
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field(culprit.field);
  violation->set_description(std::string(message));
  SetPayload(bad_request, status);
  return status;
}

absl::Status WithDetails(absl::Status status) {
  if (status.ok() || GetPayload<google::rpc::ErrorInfo>(status)) return status;
  const absl::optional<Refusal> refusal = RefusalOf(status);
  if (!refusal) {
    AddReason(RowOf(ReasonOf(status.code())), {}, status);
    return status;
  }
  absl::Status detailed(status.code(), status.message());  // the refusal itself stays inside
  const bool full = refusal->reason == Refusal::Reason::kQueueFull;
  AddReason(RowOf(full ? Reason::kQueueFull : Reason::kTooLate), {}, detailed);
  if (refusal->retry_after > absl::ZeroDuration()) SetRetryDelay(refusal->retry_after, detailed);
  return detailed;
}

absl::Status WithReason(absl::Status status, absl::string_view reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(kErrorDomain);
  SetPayload(info, status);
  return status;
}

std::string ReasonName(const absl::Status& status) {
  const auto info = GetPayload<google::rpc::ErrorInfo>(WithDetails(status));
  return info ? info->reason() : "";
}

absl::Duration RetryDelay(const absl::Status& status) {
  auto retry = GetPayload<google::rpc::RetryInfo>(status);
  if (!retry) return absl::ZeroDuration();
  return absl::Seconds(retry->retry_delay().seconds()) +
         absl::Nanoseconds(retry->retry_delay().nanos());
}

std::string PushbackMilliseconds(const absl::Status& status) {
  const absl::Duration delay = RetryDelay(WithDetails(status));
  return absl::StrCat(absl::ToInt64Milliseconds(absl::Ceil(delay, absl::Milliseconds(1))));
}

google::rpc::Status ToProtoStatus(const absl::Status& status) {
  const absl::Status detailed = WithDetails(status);
  google::rpc::Status result;
  result.set_code(static_cast<int>(detailed.code()));  // the numbers are those of google.rpc.Code
  result.set_message(std::string(detailed.message()));
  detailed.ForEachPayload([&](absl::string_view type_url, const absl::Cord& payload) {
    auto* detail = result.add_details();
    detail->set_type_url(std::string(type_url));
    detail->set_value(std::string(payload));
  });
  return result;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status proto = ToProtoStatus(status);
  return grpc::Status(static_cast<grpc::StatusCode>(proto.code()), proto.message(),
                      proto.SerializeAsString());
}

RefusalReason RefusalReasonOf(const absl::Status& status) {
  const absl::optional<Refusal> refusal = RefusalOf(status);
  if (refusal) {
    return refusal->reason == Refusal::Reason::kQueueFull ? RefusalReason::kQueueFull
                                                          : RefusalReason::kTooLate;
  }
  return status.code() == absl::StatusCode::kUnavailable ? RefusalReason::kDraining
                                                         : RefusalReason::kOther;
}

bool IsRequestWide(absl::StatusCode code) {
  return code == absl::StatusCode::kDeadlineExceeded || code == absl::StatusCode::kCancelled ||
         code == absl::StatusCode::kUnavailable ||
         code == absl::StatusCode::kResourceExhausted;  // refused when it took another's place
}

absl::string_view CodeName(absl::StatusCode code) {
  static constexpr const char* kNames[] = {"OK",
                                           "CANCELLED",
                                           "UNKNOWN",
                                           "INVALID_ARGUMENT",
                                           "DEADLINE_EXCEEDED",
                                           "NOT_FOUND",
                                           "ALREADY_EXISTS",
                                           "PERMISSION_DENIED",
                                           "RESOURCE_EXHAUSTED",
                                           "FAILED_PRECONDITION",
                                           "ABORTED",
                                           "OUT_OF_RANGE",
                                           "UNIMPLEMENTED",
                                           "INTERNAL",
                                           "UNAVAILABLE",
                                           "DATA_LOSS",
                                           "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

}  // namespace contexture
