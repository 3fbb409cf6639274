#pragma once

#include <string>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "server/services/status_mapping.h"
#include "tests/server/fakes.h"

// What the tests of plans share.

namespace contexture::test_support {

inline constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// The reason in a status's ErrorInfo.
inline std::string ReasonOf(const absl::Status& status) {
  const google::rpc::Status proto = ToProtoStatus(status);
  for (const auto& any : proto.details()) {
    google::rpc::ErrorInfo info;
    if (any.UnpackTo(&info)) return info.reason();
  }
  return "";
}

inline const Tokenizer& TestTokenizer() {
  static const auto& tokenizer = *new test_support::FakeTokenizer;
  return tokenizer;
}

}  // namespace contexture::test_support
