#include "server/batching/fair_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace contexture {
namespace {

using ::testing::UnorderedElementsAre;

// Serves the next flow ROUNDS times with pieces of its own size; what each got.
std::map<int, int64_t> Serve(FairShare& share, const std::vector<int>& piece, int rounds) {
  std::map<int, int64_t> got;
  for (int i = 0; i < rounds; ++i) {
    const int flow = share.next();
    share.Charge(flow, piece[flow]);
    got[flow] += piece[flow];
  }
  return got;
}

TEST(FairShareTest, WorkIsInProportionToWeightsWhateverThePieces) {
  FairShare share({80, 20});
  share.SetBacklogged(0, true);
  share.SetBacklogged(1, true);
  auto got = Serve(share, {7, 512}, 20000);
  EXPECT_NEAR(static_cast<double>(got[0]) / static_cast<double>(got[1]), 4.0, 0.1);
}

TEST(FairShareTest, OnlyBackloggedFlowsAreServed) {
  FairShare share({1, 1, 1});
  EXPECT_TRUE(share.empty());
  share.SetBacklogged(2, true);
  share.SetBacklogged(0, true);
  share.SetBacklogged(0, true);
  EXPECT_THAT(share.backlogged(), UnorderedElementsAre(0, 2));
  share.SetBacklogged(0, false);
  share.SetBacklogged(0, false);
  EXPECT_EQ(Serve(share, {1, 1, 1}, 10)[2], 10);
  share.SetBacklogged(2, false);
  EXPECT_TRUE(share.empty());
}

TEST(FairShareTest, IdlenessEarnsNoCredit) {
  FairShare share({1, 1});
  share.SetBacklogged(0, true);
  Serve(share, {10, 10}, 1000);
  share.SetBacklogged(1, true);
  auto got = Serve(share, {10, 10}, 100);
  EXPECT_LE(got[1], 510);
  EXPECT_GE(got[1], 490);
}

TEST(FairShareTest, ReturningFlowDoesNotEscapeWhatItWasCharged) {
  FairShare share({1, 1});
  share.SetBacklogged(0, true);
  share.SetBacklogged(1, true);
  share.Charge(0, 1000);
  share.SetBacklogged(0, false);
  share.SetBacklogged(0, true);
  EXPECT_EQ(Serve(share, {100, 100}, 10)[1], 1000);
}

TEST(FairShareTest, ManyFlowsComeLevelWhateverComesAndGoes) {
  constexpr int kFlows = 40;
  FairShare share(std::vector<int>(kFlows, 1));
  std::mt19937 random(5);
  std::vector<bool> backlogged(kFlows, false);
  for (int round = 0; round < 5000; ++round) {
    const int flow = static_cast<int>(random() % kFlows);
    backlogged[flow] = !backlogged[flow];
    share.SetBacklogged(flow, backlogged[flow]);
    if (!share.empty()) share.Charge(share.next(), 1 + random() % 300);
  }
  for (int flow = 0; flow < kFlows; ++flow) share.SetBacklogged(flow, true);
  std::vector<int> piece;
  for (int flow = 0; flow < kFlows; ++flow) piece.push_back(1 + flow * 5);
  const auto got = Serve(share, piece, 100000);
  for (const auto& [flow, work] : got) {
    EXPECT_NEAR(static_cast<double>(work), static_cast<double>(got.at(0)), 1500) << flow;
  }
}

}  // namespace
}  // namespace contexture
