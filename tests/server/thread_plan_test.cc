#include "server/thread_plan.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace contexture {
namespace {

using ::testing::HasSubstr;

TEST(ThreadPlanTest, UsesTheGrantedCores) {
  const ThreadPlan plan =
      PlanThreads({}, {.affinity_cpus = 16, .quota_cpus = 8.5, .cores = 8, .model_name = ""});
  EXPECT_EQ(plan.engine_workers, 8);
  EXPECT_EQ(plan.intra_op_threads, 8);
  EXPECT_EQ(plan.tokenizer_threads, 2);
  EXPECT_THAT(plan.reason, HasSubstr("8 cores: affinity 16, cgroup quota 8.5"));
}

TEST(ThreadPlanTest, OneCoreGetsOneThreadOfEach) {
  const ThreadPlan plan = PlanThreads({}, {.affinity_cpus = 1, .cores = 1, .model_name = ""});
  EXPECT_EQ(plan.engine_workers, 1);
  EXPECT_EQ(plan.intra_op_threads, 1);
  EXPECT_EQ(plan.tokenizer_threads, 1);
  EXPECT_THAT(plan.reason, HasSubstr("quota none"));
}

TEST(ThreadPlanTest, OptionsWin) {
  ServerOptions options;
  options.threads = 3;
  options.intra_op_threads = 2;
  options.tokenizer_threads = 5;
  const ThreadPlan plan = PlanThreads(options, {.affinity_cpus = 1, .cores = 1, .model_name = ""});
  EXPECT_EQ(plan.engine_workers, 3);
  EXPECT_EQ(plan.intra_op_threads, 2);
  EXPECT_EQ(plan.tokenizer_threads, 5);
  EXPECT_THAT(plan.reason, HasSubstr("--threads=3"));
}

}  // namespace
}  // namespace contexture
