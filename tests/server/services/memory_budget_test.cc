#include "server/services/memory_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/support/status_matchers.h"

namespace contexture {
namespace {

using test_support::IsOk;
using test_support::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(MemoryBudgetTest, LeasesFillTheBudgetAndGiveItBack) {
  MemoryBudget budget(100);
  MemoryLease first(budget);
  ASSERT_THAT(first.Grow(60), IsOk());
  {
    MemoryLease second(budget);
    ASSERT_THAT(second.Grow(40), IsOk());
    EXPECT_THAT(second.Grow(1),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         AllOf(HasSubstr("100 bytes are in use"), HasSubstr("needs 1 more"),
                               HasSubstr("limit is 100"))));
    EXPECT_EQ(budget.used(), 100);
  }
  EXPECT_EQ(budget.used(), 60);
  first.ShrinkTo(20);
  first.ShrinkTo(50);
  EXPECT_EQ(budget.used(), 20);
}

TEST(MemoryBudgetTest, CallThatIsAloneGetsWhatItAsksFor) {
  MemoryBudget budget(100);
  MemoryLease alone(budget), other(budget);
  ASSERT_THAT(alone.Grow(80), IsOk());
  EXPECT_THAT(alone.Grow(800), IsOk());
  EXPECT_THAT(other.Grow(1), StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
}

TEST(MemoryBudgetTest, WhatIsThereAlreadyIsHeldWhateverTheLimit) {
  MemoryBudget budget(100);
  MemoryLease first(budget), second(budget);
  first.Hold(70);
  EXPECT_FALSE(budget.crowded());
  second.Hold(70);
  EXPECT_EQ(budget.used(), 140);
  EXPECT_TRUE(budget.crowded());
  second = MemoryLease(budget);
  EXPECT_EQ(budget.used(), 70);
}

TEST(MemoryBudgetTest, MovedLeaseIsGivenBackOnce) {
  MemoryBudget budget(100);
  {
    MemoryLease first(budget);
    ASSERT_THAT(first.Grow(30), IsOk());
    const MemoryLease second = std::move(first);
    EXPECT_EQ(second.bytes(), 30);
  }
  EXPECT_EQ(budget.used(), 0);
}

TEST(MemoryBudgetTest, ThreadsNeverHoldMoreThanTheLimit) {
  MemoryBudget budget(100);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) {
        MemoryLease lease(budget);
        // Alone it may hold more than the limit; of 40 that is not so.
        if (lease.Grow(40).ok()) {
          EXPECT_LE(budget.used(), 100 + 3 * 40) << "more than is held and being refused";
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.used(), 0);
}

}  // namespace
}  // namespace contexture
