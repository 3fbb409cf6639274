#include "client/status_conversion.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"

namespace contexture::client {
namespace {

// What a person can do with the detail; empty where that is nothing.
std::string Describe(const google::protobuf::Any& detail) {
  google::rpc::RetryInfo retry;
  google::rpc::BadRequest bad_request;
  std::string text;
  if (detail.UnpackTo(&retry)) {
    const auto& delay = retry.retry_delay();
    text = absl::StrCat("retry in ", absl::FormatDuration(absl::Seconds(delay.seconds()) +
                                                          absl::Nanoseconds(delay.nanos())));
  } else if (detail.UnpackTo(&bad_request)) {
    for (const auto& violation : bad_request.field_violations()) {
      absl::StrAppend(&text, text.empty() ? "" : "; ", violation.field(), ": ",
                      violation.description());
    }
  }
  return text;
}

absl::Status WithDetails(absl::StatusCode code, const std::string& message,
                         const google::rpc::Status& rich) {
  std::string full = message;
  for (const auto& detail : rich.details()) {
    const std::string text = Describe(detail);
    // A server may say it in its message already.
    if (!text.empty() && !absl::StrContains(full, text)) absl::StrAppend(&full, " (", text, ")");
  }
  absl::Status status(code, full);
  for (const auto& detail : rich.details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return status;
}

}  // namespace

absl::Status ToStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status rich;
  // Details that do not parse are not worth losing the status for.
  if (!rich.ParseFromString(status.error_details())) rich.Clear();
  return WithDetails(static_cast<absl::StatusCode>(status.error_code()), status.error_message(),
                     rich);
}

absl::Status ToStatus(const google::rpc::Status& status) {
  if (status.code() == 0) return absl::OkStatus();
  return WithDetails(static_cast<absl::StatusCode>(status.code()), status.message(), status);
}

std::string CodeName(absl::StatusCode code) {
  std::string name = absl::StatusCodeToString(code);
  return name.empty() ? absl::StrCat("CODE_", static_cast<int>(code)) : name;
}

}  // namespace contexture::client
