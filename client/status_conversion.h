#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"

namespace contexture::client {

// The same code and message. Details that a person can use (when to retry, which fields are wrong)
// are added to the message; all details become payloads under their type URLs.
absl::Status ToStatus(const grpc::Status& status);
absl::Status ToStatus(const google::rpc::Status& status);

// "INVALID_ARGUMENT"; "CODE_42" for a number that is not a status code.
std::string CodeName(absl::StatusCode code);

}  // namespace contexture::client
