#include "client/status_conversion.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"

namespace contexture::client {
namespace {

TEST(StatusConversionTest, OkIsOk) {
  EXPECT_TRUE(ToStatus(grpc::Status::OK).ok());
  EXPECT_TRUE(ToStatus(google::rpc::Status()).ok());
}

TEST(StatusConversionTest, CodeAndMessageAreKept) {
  const absl::Status status = ToStatus(grpc::Status(grpc::StatusCode::NOT_FOUND, "no model 'x'"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "no model 'x'");
}

TEST(StatusConversionTest, RetryDelayIsInTheMessageAndAPayload) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(1);
  retry.mutable_retry_delay()->set_nanos(500000000);
  google::rpc::Status rich;
  rich.add_details()->PackFrom(retry);
  const absl::Status status = ToStatus(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                                    "the queue is full", rich.SerializeAsString()));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "the queue is full (retry in 1.5s)");
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.RetryInfo");
  ASSERT_TRUE(payload.has_value());
  EXPECT_EQ(std::string(*payload), retry.SerializeAsString());
}

TEST(StatusConversionTest, WrongFieldsAreInTheMessage) {
  google::rpc::BadRequest bad_request;
  auto& first = *bad_request.add_field_violations();
  first.set_field("inputs[0]");
  first.set_description("empty");
  auto& second = *bad_request.add_field_violations();
  second.set_field("inputs[2]");
  second.set_description("too long");
  google::rpc::Status rich;
  rich.set_code(3);
  rich.set_message("bad request");
  rich.add_details()->PackFrom(bad_request);
  EXPECT_EQ(ToStatus(rich).message(), "bad request (inputs[0]: empty; inputs[2]: too long)");
}

TEST(StatusConversionTest, WhatTheMessageSaysAlreadyIsNotRepeated) {
  google::rpc::BadRequest bad_request;
  bad_request.add_field_violations()->set_field("inputs[0].text");
  bad_request.mutable_field_violations(0)->set_description("the text is empty");
  google::rpc::Status rich;
  rich.set_code(3);
  rich.set_message("inputs[0].text: the text is empty");
  rich.add_details()->PackFrom(bad_request);
  EXPECT_EQ(ToStatus(rich).message(), "inputs[0].text: the text is empty");
}

TEST(StatusConversionTest, DetailsThatDoNotParseLeaveTheStatus) {
  const absl::Status status =
      ToStatus(grpc::Status(grpc::StatusCode::INTERNAL, "broken", "\xff\xff not a message"));
  EXPECT_EQ(status, absl::InternalError("broken"));
}

TEST(StatusConversionTest, UnknownCodeHasAName) {
  EXPECT_EQ(CodeName(absl::StatusCode::kInvalidArgument), "INVALID_ARGUMENT");
  EXPECT_EQ(CodeName(static_cast<absl::StatusCode>(42)), "CODE_42");
}

}  // namespace
}  // namespace contexture::client
