#include "server/services/status_mapping.h"

#include <set>

#include "absl/strings/ascii.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "server/batching/refusal.h"

namespace contexture {
namespace {

template <typename Detail>
absl::optional<Detail> FindDetail(const google::rpc::Status& status) {
  for (const auto& any : status.details()) {
    Detail detail;
    if (any.Is<Detail>() && any.UnpackTo(&detail)) return detail;
  }
  return absl::nullopt;
}

class StatusMappingTest : public ::testing::TestWithParam<int> {
 protected:
  const ErrorReason reason_ = static_cast<ErrorReason>(GetParam());
  const ErrorRow& row_ = RowOf(reason_);
};

TEST_P(StatusMappingTest, RowIsAtItsReason) { EXPECT_EQ(row_.reason, reason_); }

TEST_P(StatusMappingTest, NameFollowsTheRuleForErrorInfo) {
  const std::string name = row_.name;
  ASSERT_FALSE(name.empty());
  EXPECT_LE(name.size(), 63u);
  EXPECT_TRUE(absl::ascii_isupper(name.front()));
  for (char c : name) {
    EXPECT_TRUE(absl::ascii_isupper(c) || absl::ascii_isdigit(c) || c == '_') << name;
  }
}

TEST_P(StatusMappingTest, GrpcStatusCarriesCodeMessageAndDetails) {
  const grpc::Status status =
      ToGrpcStatus(MakeError(reason_, "too big", {"inputs[3]", {{"got", "5"}, {"max", "4"}}}));
  EXPECT_EQ(static_cast<int>(status.error_code()), static_cast<int>(row_.code));
  EXPECT_EQ(status.error_message(), "inputs[3]: too big");
  google::rpc::Status proto;
  ASSERT_TRUE(proto.ParseFromString(status.error_details()));
  EXPECT_EQ(proto.code(), static_cast<int>(row_.code));
  const auto info = FindDetail<google::rpc::ErrorInfo>(proto);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->reason(), row_.name);
  EXPECT_EQ(info->domain(), "contexture");
  EXPECT_EQ(info->metadata().at("got"), "5");
  const auto bad_request = FindDetail<google::rpc::BadRequest>(proto);
  ASSERT_TRUE(bad_request.has_value());
  EXPECT_EQ(bad_request->field_violations(0).field(), "inputs[3]");
  EXPECT_EQ(FindDetail<google::rpc::RetryInfo>(proto).has_value(),
            row_.retry_delay > absl::ZeroDuration());
}

INSTANTIATE_TEST_SUITE_P(EveryRow, StatusMappingTest, ::testing::Range(0, kNumErrorReasons),
                         [](const auto& row) {
                           return std::string(RowOf(static_cast<ErrorReason>(row.param)).name);
                         });

TEST(StatusMapping, NamesAreDifferent) {
  std::set<std::string> names;
  for (int i = 0; i < kNumErrorReasons; ++i) names.insert(RowOf(static_cast<ErrorReason>(i)).name);
  EXPECT_EQ(names.size(), static_cast<size_t>(kNumErrorReasons));
}

TEST(StatusMapping, OnlyRefusalsThatPassAskForRetry) {
  for (int i = 0; i < kNumErrorReasons; ++i) {
    const ErrorRow& row = RowOf(static_cast<ErrorReason>(i));
    const bool passes = row.code == absl::StatusCode::kResourceExhausted ||
                        row.code == absl::StatusCode::kUnavailable;
    EXPECT_EQ(row.retry_delay > absl::ZeroDuration(), passes) << row.name;
  }
}

TEST(StatusMapping, StatusWithoutReasonGetsTheOneOfItsCode) {
  const struct {
    absl::Status status;
    const char* reason;
  } rows[] = {{absl::ResourceExhaustedError("x"), "MEMORY_FULL"},
              {absl::UnavailableError("x"), "SERVER_DRAINING"},
              {absl::DeadlineExceededError("x"), "DEADLINE_EXCEEDED"},
              {absl::CancelledError("x"), "CANCELLED"},
              {absl::InternalError("x"), "INTERNAL"},
              {absl::UnknownError("x"), "INTERNAL"}};
  for (const auto& row : rows) {
    const auto info = FindDetail<google::rpc::ErrorInfo>(ToProtoStatus(row.status));
    ASSERT_TRUE(info.has_value()) << row.status;
    EXPECT_EQ(info->reason(), row.reason);
  }
}

TEST(StatusMapping, ReasonIsKeptWhenDetailsAreCompleted) {
  const absl::Status status = MakeError(ErrorReason::kServerStarting, "loading");
  const auto info = FindDetail<google::rpc::ErrorInfo>(ToProtoStatus(WithDetails(status)));
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->reason(), "SERVER_STARTING");
}

TEST(StatusMapping, QueueFullSaysWhenToRetry) {
  EXPECT_GT(RetryDelay(WithDetails(absl::ResourceExhaustedError("full"))), absl::ZeroDuration());
  EXPECT_EQ(RetryDelay(absl::InternalError("x")), absl::ZeroDuration());
}

TEST(StatusMapping, OkStaysOk) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_EQ(CodeName(absl::StatusCode::kOk), "OK");
  EXPECT_EQ(CodeName(absl::StatusCode::kUnauthenticated), "UNAUTHENTICATED");
}

TEST(RefusalMappingTest, RefusalTellsWhenToTryAgain) {
  const absl::Status late = WithDetails(MakeRefusal(
      {.reason = Refusal::Reason::kTooLate, .retry_after = absl::Microseconds(1500)}, "late"));
  EXPECT_EQ(RetryDelay(late), absl::Microseconds(1500));
  EXPECT_EQ(PushbackMilliseconds(late), "2");
  const google::rpc::Status proto = ToProtoStatus(late);
  ASSERT_EQ(proto.details_size(), 2) << "and nothing of the inside";
  EXPECT_EQ(FindDetail<google::rpc::ErrorInfo>(proto)->reason(), "TOO_LATE");
}

TEST(RefusalMappingTest, RefusalThatDoesNotKnowWhenHasTheTablesDelay) {
  const absl::Status full = MakeRefusal({.reason = Refusal::Reason::kQueueFull}, "full");
  EXPECT_EQ(RetryDelay(WithDetails(full)), RowOf(ErrorReason::kQueueFull).retry_delay);
}

}  // namespace
}  // namespace contexture
