#pragma once

#include <memory>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/server/test_server.h"

namespace contexture::test_support {

// A server over a fake engine, and calls of its Encode.
class EncoderServiceFixture : public ::testing::Test {
 protected:
  grpc::Status Encode(const v1::EncodeRequest& request, v1::EncodeResponse& response) {
    grpc::ClientContext context;
    return stub_->Encode(&context, request, &response);
  }
  // The code of a call with DEADLINE from now.
  grpc::StatusCode EncodeWithin(absl::Duration deadline, const v1::EncodeRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
    v1::EncodeResponse response;
    return stub_->Encode(&context, request, &response).error_code();
  }

  // One worker: what it holds is all that runs.
  static ServerOptions Options() {
    ServerOptions options = TestServer::DefaultOptions();
    options.threads = 1;
    return options;
  }

  TestServer server_{Options()};
  std::unique_ptr<v1::EncoderService::Stub> stub_ = server_.NewStub();
};

}  // namespace contexture::test_support
