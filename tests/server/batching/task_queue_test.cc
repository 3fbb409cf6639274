#include "server/batching/task_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/server/batching/queue_util.h"
#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::MakeQueueTask;
using test_support::Numbers;
using test_support::Push;
using test_support::ServeAll;
using test_support::StatusIs;
using test_support::TaskSpec;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using enum TrafficClass;

absl::Duration Ms(int64_t milliseconds) { return absl::Milliseconds(milliseconds); }

TEST(TaskQueueTest, RefusesAllTasksOfARequestThatDoesNotFit) {
  TaskQueue queue({.max_tokens = 10});
  ASSERT_THAT(Push(queue, {{.tokens = 6}}), IsOk());
  EXPECT_THAT(Push(queue, {{.tokens = 2}, {.tokens = 3}}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("6 tokens are waiting"), HasSubstr("request has 5"),
                             HasSubstr("limit is 10"))));
  EXPECT_EQ(queue.tokens(), 6);
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_THAT(Push(queue, {{.tokens = 4}}), IsOk());
}

TEST(TaskQueueTest, EmptyQueueTakesARequestOfAnySize) {
  TaskQueue queue({.max_tokens = 10});
  EXPECT_THAT(Push(queue, {{.tokens = 100}}), IsOk());
  EXPECT_EQ(queue.tokens(), 100);
}

TEST(TaskQueueTest, BulkWorkLeavesRoomForInteractiveWork) {
  TaskQueue queue({.max_tokens = 100});
  ASSERT_THAT(Push(queue, {{.tokens = 50, .traffic_class = kBulk}}), IsOk());
  EXPECT_THAT(Push(queue, {{.tokens = 1, .traffic_class = kBulk}}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("bulk")));
  EXPECT_THAT(Push(queue, {{.tokens = 50}}), IsOk());
  EXPECT_THAT(Push(queue, {{.tokens = 1}}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("limit is 100")));
}

TEST(TaskQueueTest, TenantIsHeldToItsCapAndOthersAreNot) {
  TaskQueue queue({.max_tokens = 100, .tenant_share = 30});
  ASSERT_THAT(Push(queue, {{.tokens = 30, .tenant = 1}}), IsOk());
  EXPECT_THAT(Push(queue, {{.tokens = 1, .tenant = 1}}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("tenant")));
  EXPECT_THAT(Push(queue, {{.tokens = 30, .tenant = 2}}), IsOk());
}

TEST(TaskQueueTest, EarliestDeadlineGoesFirst) {
  TaskQueue queue({.ageing = absl::Hours(1)});
  ASSERT_THAT(Push(queue, {{.number = 1},
                           {.number = 2, .deadline = Ms(300)},
                           {.number = 3, .deadline = Ms(100)},
                           {.number = 4, .deadline = Ms(200)},
                           {.number = 5}}),
              IsOk());
  EXPECT_THAT(ServeAll(queue), ElementsAre(3, 4, 2, 1, 5));
}

TEST(TaskQueueTest, FarDeadlineGoesBeforeWhatArrivesLongAfterIt) {
  TaskQueue queue({.ageing = Ms(1000)});
  ASSERT_THAT(Push(queue, {{.number = 1}}, Ms(0)), IsOk());
  ASSERT_THAT(Push(queue, {{.number = 2, .deadline = Ms(990)}}, Ms(900)), IsOk());
  ASSERT_THAT(Push(queue, {{.number = 3, .deadline = Ms(1001)}}, Ms(900)), IsOk());
  EXPECT_THAT(ServeAll(queue), ElementsAre(2, 1, 3));
}

TEST(TaskQueueTest, WhatGoesOnKeepsThePlaceOfItsRequest) {
  TaskQueue queue({.ageing = Ms(1000)});
  ASSERT_THAT(Push(queue, {{.number = 1}}, Ms(100)), IsOk());
  ASSERT_THAT(Push(queue, {{.number = 2, .waits_since = Ms(50)}}, Ms(200)), IsOk());
  ASSERT_THAT(Push(queue, {{.number = 3, .waits_since = Ms(400)}}, Ms(300)), IsOk());
  ASSERT_THAT(Push(queue, {{.number = 4}}, Ms(350)), IsOk());
  EXPECT_THAT(ServeAll(queue), ElementsAre(2, 1, 3, 4));
}

TEST(TaskQueueTest, TenantsShareByTokensNotByRequests) {
  TaskQueue queue({});
  for (uint32_t i = 0; i < 10; ++i) {
    ASSERT_THAT(Push(queue, {{.number = 1, .tokens = 40, .tenant = 1}}), IsOk());
  }
  for (uint32_t i = 0; i < 40; ++i) {
    ASSERT_THAT(Push(queue, {{.number = 2, .tokens = 10, .tenant = 2}}), IsOk());
  }
  const std::vector<uint32_t> order = ServeAll(queue);
  // While both wait, each four small ones of one go with one large one of the other.
  EXPECT_EQ(std::count(order.begin(), order.begin() + 25, 1u), 5);
}

TEST(TaskQueueTest, ClassesShareByTheirWeights) {
  TaskQueue queue({.interactive_share = 75});
  for (int i = 0; i < 100; ++i) {
    ASSERT_THAT(Push(queue, {{.number = 1, .tokens = 5}}), IsOk());
    ASSERT_THAT(Push(queue, {{.number = 2, .tokens = 5, .traffic_class = kBulk}}), IsOk());
  }
  const std::vector<uint32_t> order = ServeAll(queue);
  EXPECT_NEAR(std::count(order.begin(), order.begin() + 100, 1u), 75, 1);
}

TEST(TaskQueueTest, ForgottenCallersTasksLeaveAtOnceAndNoOthers) {
  TaskQueue queue({});
  const auto leaving = std::make_shared<std::atomic<bool>>(false);
  const auto staying = std::make_shared<std::atomic<bool>>(false);
  for (uint32_t i = 0; i < 12; ++i) {
    Task task = MakeQueueTask({.number = i, .tokens = 2});
    if (i % 3 != 0) task.cancelled = i % 3 == 1 ? leaving : staying;
    const auto cost = [](const Task&) { return absl::ZeroDuration(); };
    queue.Push(absl::MakeSpan(&task, 1), {.now = Ms(7), .cost = cost});
  }
  // One of each end and one of the middle have left before.
  std::vector<QueuedTask> forgotten;
  queue.Remove(queue.Next(kInteractive), TaskQueue::Leaving::kCharged);
  queue.Remove(queue.Next(kInteractive), TaskQueue::Leaving::kCharged);
  queue.RemoveOf(leaving.get(), forgotten);
  std::vector<uint32_t> numbers = Numbers(forgotten);
  std::sort(numbers.begin(), numbers.end());
  EXPECT_THAT(numbers, ElementsAre(4, 7, 10));
  EXPECT_EQ(forgotten[0].enqueued, Ms(7));
  EXPECT_EQ(queue.tokens(), 14);
  EXPECT_THAT(ServeAll(queue), ElementsAre(2, 3, 5, 6, 8, 9, 11));
  queue.RemoveOf(staying.get(), forgotten);
  EXPECT_EQ(forgotten.size(), 3u);
}

TEST(TaskQueueTest, WhatIsSetAsideWaitsWhereItWas) {
  TaskQueue queue({});
  ASSERT_THAT(Push(queue, {{.number = 1}, {.number = 2}, {.number = 3, .tenant = 0}}), IsOk());
  queue.SetAside(queue.Next(kInteractive));
  queue.SetAside(queue.Next(kInteractive));
  EXPECT_EQ(queue.Peek(queue.Next(kInteractive)).tokens, 1);
  queue.SetAside(queue.Next(kInteractive));
  EXPECT_TRUE(queue.empty(kInteractive));
  EXPECT_EQ(queue.size(), 3u);
  queue.Restore();
  EXPECT_THAT(ServeAll(queue), ElementsAre(1, 2, 3));
}

TEST(TaskQueueTest, WorkOfItsOwnCountsAsItsTokens) {
  TaskQueue queue({.max_tokens = 10});
  Task task;
  task.work = [](const Engine&, Workspace&) { return absl::OkStatus(); };
  task.work_tokens = 10;
  queue.Push(absl::MakeSpan(&task, 1),
             {.now = Ms(0), .cost = [](const Task&) { return absl::ZeroDuration(); }});
  EXPECT_EQ(queue.Peek(queue.Next(kInteractive)).tokens, 10);
  EXPECT_THAT(Push(queue, {{}}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("10 tokens are waiting")));
}

TEST(TaskQueueTest, TimeUntilDoneIsThatOfEarlierDeadlines) {
  TaskQueue queue({.ageing = absl::Hours(1)});
  ASSERT_THAT(Push(queue, {{.tokens = 10, .deadline = Ms(100)}, {.tokens = 40}}), IsOk());
  EXPECT_EQ(queue.TimeUntilDone({.deadline = Ms(50), .cost = Ms(5)}), Ms(5));
  EXPECT_EQ(queue.TimeUntilDone({.deadline = Ms(200), .cost = Ms(5)}), Ms(15));
  EXPECT_EQ(queue.TimeUntilDone({.cost = Ms(5)}), Ms(55));
}

TEST(TaskQueueTest, TimeUntilDoneCountsWhatOthersGetMeanwhile) {
  TaskQueue queue({.interactive_share = 80});
  ASSERT_THAT(Push(queue, {{.tokens = 100, .tenant = 1}}), IsOk());
  ASSERT_THAT(Push(queue, {{.tokens = 8, .tenant = 2}}), IsOk());
  // As much as its own for tenant 1, all that tenant 2 has.
  EXPECT_EQ(queue.TimeUntilDone({.cost = Ms(20)}), Ms(20 + 20 + 8));
  ASSERT_THAT(Push(queue, {{.tokens = 1000, .traffic_class = kBulk}}), IsOk());
  EXPECT_EQ(queue.TimeUntilDone({.cost = Ms(20)}), Ms(48 + 48 / 4));
  EXPECT_EQ(queue.TimeUntilDone({.traffic_class = kBulk, .tenant = 5, .cost = Ms(10)}),
            Ms(20 + 4 * 20));
}

TEST(TaskQueueTest, SlackIsThatOfLaterDeadlines) {
  TaskQueue queue({.ageing = absl::Hours(1)});
  ASSERT_THAT(
      Push(queue, {{.tokens = 10, .deadline = Ms(100)}, {.tokens = 40, .deadline = Ms(90)}}),
      IsOk());
  EXPECT_EQ(queue.SlackBehind({.deadline = Ms(10)}), Ms(50));
  EXPECT_EQ(queue.SlackBehind({.deadline = Ms(95)}), Ms(50));
  EXPECT_EQ(queue.SlackBehind({.now = Ms(60), .deadline = Ms(10)}), Ms(-10));
  EXPECT_GT(queue.SlackBehind({.deadline = Ms(100)}), absl::Hours(1000));
}

TEST(TenantSlotTest, NamesHaveSlotsOfTheirOwnApartFromNoName) {
  EXPECT_EQ(TenantSlot(""), 0);
  EXPECT_EQ(TenantSlot("a"), TenantSlot("a"));
  for (int i = 0; i < 1000; ++i) {
    const uint16_t slot = TenantSlot(std::to_string(i));
    EXPECT_GT(slot, 0);
    EXPECT_LT(slot, kTenantSlots);
  }
}

}  // namespace
}  // namespace contexture
