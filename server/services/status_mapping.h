#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"
#include "server/metrics/registry.h"

namespace contexture {

// Every reason that this server gives for a failure. The table in status_mapping.cc holds the name,
// the code and whether to retry.
enum class ErrorReason {
  kMalformedMessage,
  kModelNotFound,
  kFingerprintMismatch,
  kNoInputs,
  kTooManyInputs,
  kTooManyOutputs,
  kUnknownEnumValue,
  kUnknownTrafficClass,
  kDimensionsTooLarge,
  kPromptUnknown,
  kPoolingNotApplicable,
  kInt8NeedsNormalization,
  kOptionNotApplicable,
  kInt8RangesInvalid,
  kWindowsInvalid,
  kLayerNotComputed,
  kSpanInvalid,
  kTooManySpans,
  kAnswerTooLarge,
  kInputMissing,
  kTextEmpty,
  kTextTooLarge,
  kTextInvalid,
  kTokenIdsEmpty,
  kTokenIdOutOfRange,
  kTypeIdOutOfRange,
  kTypeIdCountMismatch,
  kInputTooLong,
  kTokenizerMissing,
  kTokenizerUnsuitable,
  kStreamIdTooLong,
  kNoSelections,
  kTooManySelections,
  kSelectionNotApplicable,
  kLayerOutOfRange,
  kHeadOutOfRange,
  kPositionOutOfRange,
  kNotInspectable,
  kHeadMissing,
  kCountOutOfRange,
  kScoreFunctionNotApplicable,
  kPositionsNotApplicable,
  kPositionCountMismatch,
  kTargetNotApplicable,
  kTargetMissing,
  kTargetInvalid,
  kTensorMissing,
  kTensorInvalid,
  kShapeMismatch,
  kHeadsNotDivisible,
  kValueNotFinite,
  kNoVisibleKey,
  kQueueFull,
  kTooLate,
  kMemoryFull,
  kUnauthenticated,
  kPermissionDenied,
  kServerStarting,
  kServerDraining,
  kDeadlineExceeded,
  kCancelled,
  kMaskMissing,
  kMaskUnknown,
  kNothingScored,
  kInternal,
};
inline constexpr int kNumErrorReasons = static_cast<int>(ErrorReason::kInternal) + 1;

struct ErrorRow {
  ErrorReason reason;
  const char* name;  // ErrorInfo.reason
  absl::StatusCode code;
  absl::Duration retry_delay;  // RetryInfo; zero: trying again does not help
};
const ErrorRow& RowOf(ErrorReason reason);

// ErrorInfo.domain.
inline constexpr char kErrorDomain[] = "contexture";
// The trailer that tells gRPC's own retry when to try again, in milliseconds.
inline constexpr char kPushbackTrailer[] = "grpc-retry-pushback-ms";

// The culprit of an error.
struct Culprit {
  std::string field;  // "inputs[3].text"; empty: no field of the request
  // Every value that the message names, such as {"length", "600"}. Never a user's text, and of
  // token ids only the one that is out of range.
  std::vector<std::pair<std::string, std::string>> values;
};

// A status with the reason's code and, as payloads, ErrorInfo, BadRequest (when a field is to
// blame) and RetryInfo (when the reason says so). A field is put before the message.
absl::Status MakeError(ErrorReason reason, absl::string_view message, Culprit culprit = {});

// STATUS with the ErrorInfo and RetryInfo of its code's own reason, or of its Refusal, unless it
// has an ErrorInfo.
absl::Status WithDetails(absl::Status status);

// ErrorInfo.reason, of STATUS as WithDetails completes it: one of the closed set of the table.
std::string ReasonName(const absl::Status& status);
// The same, with REASON instead of the one that it has or would get.
absl::Status WithReason(absl::Status status, absl::string_view reason);

// How long a caller should wait; zero: not given.
absl::Duration RetryDelay(const absl::Status& status);

// The value of kPushbackTrailer for STATUS.
std::string PushbackMilliseconds(const absl::Status& status);

// Both complete missing details as WithDetails does; payloads become google.rpc.Status.details.
google::rpc::Status ToProtoStatus(const absl::Status& status);
grpc::Status ToGrpcStatus(const absl::Status& status);

// Why work that Batcher::Schedule answered with STATUS was not admitted, for the metrics.
RefusalReason RefusalReasonOf(const absl::Status& status);

// Whether a task that fails with CODE has a fault of its whole request rather than of its input.
bool IsRequestWide(absl::StatusCode code);

// The code's name in gRPC, "INVALID_ARGUMENT"; OK is "OK".
absl::string_view CodeName(absl::StatusCode code);

}  // namespace contexture
