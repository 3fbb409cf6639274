#include "server/batching/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/batching/refusal.h"
#include "tests/server/batching/queue_util.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::Push;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::Duration Ms(int64_t milliseconds) { return absl::Milliseconds(milliseconds); }

class AdmissionTest : public testing::Test {
 protected:
  TaskQueue queue_{{.ageing = absl::Hours(1)}};
};

TEST_F(AdmissionTest, IdleMachineBeginsAtOnce) {
  const Prediction prediction =
      Predict(queue_, {.cost = Ms(5)}, {.workers = 2, .last_batch = Ms(10)});
  EXPECT_EQ(prediction.wait, Ms(0));
  EXPECT_EQ(prediction.done, Ms(10));
}

TEST_F(AdmissionTest, RunningBatchesAndTheQueueAreWaitedFor) {
  ASSERT_THAT(Push(queue_, {{.tokens = 100}}), IsOk());
  const Prediction prediction =
      Predict(queue_, {.cost = Ms(5)}, {.running = Ms(7), .workers = 2, .last_batch = Ms(10)});
  EXPECT_EQ(prediction.wait, Ms(7 + 100));
  EXPECT_EQ(prediction.done, Ms(7 + 100 + 10));
}

TEST_F(AdmissionTest, WorkOfManyBatchesWaitsForItsOwn) {
  const Prediction prediction = Predict(queue_, {.cost = Ms(50)}, {.last_batch = Ms(10)});
  EXPECT_EQ(prediction.wait, Ms(40));
  EXPECT_EQ(prediction.done, Ms(50));
}

TEST_F(AdmissionTest, WhatIsNotKnownToCostAnythingIsAdmitted) {
  ASSERT_THAT(Push(queue_, {{.tokens = 100}}, Ms(0), Ms(0)), IsOk());
  EXPECT_THAT(CheckDeadline(queue_, {.deadline = Ms(1)}, {}), IsOk());
}

TEST_F(AdmissionTest, WorkThatWouldBeLateIsRefusedWithItsWait) {
  ASSERT_THAT(Push(queue_, {{.tokens = 100, .deadline = Ms(150)}}), IsOk());
  const absl::Status status =
      CheckDeadline(queue_, {.deadline = Ms(200), .cost = Ms(90)}, {.last_batch = Ms(10)});
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                               AllOf(HasSubstr("predicted wait is 180.0 ms"),
                                     HasSubstr("computation takes 10.0 ms"),
                                     HasSubstr("deadline is in 200.0 ms"))));
  const auto refusal = RefusalOf(status);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, Refusal::Reason::kTooLate);
  EXPECT_EQ(refusal->retry_after, Ms(190 - 180));
}

TEST_F(AdmissionTest, TenthOfTheTimeIsKeptFree) {
  ASSERT_THAT(Push(queue_, {{.tokens = 100, .deadline = Ms(150)}}), IsOk());
  EXPECT_THAT(CheckDeadline(queue_, {.deadline = Ms(200), .cost = Ms(80)}, {}), IsOk());
  EXPECT_THAT(CheckDeadline(queue_, {.deadline = Ms(200), .cost = Ms(81)}, {}),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
}

TEST_F(AdmissionTest, WaitsThatAreLongerThanPredictedNeedMoreTime) {
  ASSERT_THAT(Push(queue_, {{.tokens = 100, .deadline = Ms(150)}}), IsOk());
  // A wait of 100 ms and a batch of 40 ms; 180 ms are usable.
  const TaskQueue::Arriving arriving = {.deadline = Ms(200), .cost = Ms(40)};
  EXPECT_THAT(CheckDeadline(queue_, arriving, {.last_batch = Ms(40), .wait_ratio = 1.4}), IsOk());
  EXPECT_THAT(CheckDeadline(queue_, arriving, {.last_batch = Ms(40), .wait_ratio = 1.5}),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
}

TEST_F(AdmissionTest, UncertainPredictionsNeedMoreTime) {
  ASSERT_THAT(Push(queue_, {{.tokens = 100, .deadline = Ms(150)}}), IsOk());
  const TaskQueue::Arriving arriving = {.deadline = Ms(200), .cost = Ms(60)};
  EXPECT_THAT(CheckDeadline(queue_, arriving, {.uncertainty = 0.1}), IsOk());
  EXPECT_THAT(CheckDeadline(queue_, arriving, {.uncertainty = 0.2}),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
}

TEST_F(AdmissionTest, EarlierDeadlineGoesAheadOfWhatCanWait) {
  ASSERT_THAT(Push(queue_, {{.tokens = 1000, .deadline = Ms(2000)}}), IsOk());
  EXPECT_THAT(CheckDeadline(queue_, {.deadline = Ms(50), .cost = Ms(10)}, {}), IsOk());
}

TEST_F(AdmissionTest, WorkThatWouldMakeAdmittedWorkLateIsRefused) {
  ASSERT_THAT(Push(queue_, {{.tokens = 95, .deadline = Ms(100)}}), IsOk());
  EXPECT_THAT(CheckDeadline(queue_, {.deadline = Ms(50), .cost = Ms(5)}, {}), IsOk());
  EXPECT_THAT(CheckDeadline(queue_, {.deadline = Ms(50), .cost = Ms(8)}, {}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("would make admitted work late by 3.0 ms")));
}

TEST_F(AdmissionTest, NoDeadlineIsNeverTooLate) {
  ASSERT_THAT(Push(queue_, {{.tokens = 1000000}}), IsOk());
  EXPECT_THAT(CheckDeadline(queue_, {.cost = absl::Hours(1)}, {.running = absl::Hours(1)}), IsOk());
}

TEST(RefusalTest, OtherStatusesHaveNone) {
  EXPECT_FALSE(RefusalOf(absl::ResourceExhaustedError("no memory")).has_value());
  EXPECT_FALSE(RefusalOf(absl::OkStatus()).has_value());
}

}  // namespace
}  // namespace contexture
