#include "core/base/team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/helped_team.h"
#include "tests/support/meeting.h"

namespace contexture {
namespace {

using test_support::HelpedTeam;
using test_support::Meeting;

TEST(TeamTest, LeaderAloneComputesEveryPartInOrder) {
  const auto owner = std::make_unique<Team>(/*member=*/3);  // see HelpedTeam::team_
  Team& team = *owner;
  std::vector<int> parts;
  team.Open(2);  // whoever it is for may not come
  team.ForEach(4, [&](int part, int member) {
    EXPECT_EQ(member, 3);
    parts.push_back(part);
  });
  EXPECT_EQ(parts, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(team.helped(), 0);
}

TEST(TeamTest, NoPartsAreNothing) {
  HelpedTeam helped(2);
  helped.team().ForEach(0, [](int, int) { ADD_FAILURE(); });
}

TEST(TeamTest, MembersComputePartsAtTheSameTime) {
  HelpedTeam helped(3);
  Meeting meeting(3);
  std::atomic<int> members{0};
  helped.team().ForEach(3, [&](int, int member) {
    meeting.Join();
    members += 1 << member;
  });
  EXPECT_EQ(members, 0b111);
  EXPECT_EQ(helped.team().helped(), 2);
}

// More members than this machine may have cores.
TEST(TeamTest, EachPartIsComputedOnceAndSeesAllOfTheStageBefore) {
  for (int members : {1, 2, 3, 4, 9}) {
    HelpedTeam helped(members);
    std::vector<int> before(13, 0), after(13, 0);
    for (int round = 1; round <= 2000; ++round) {
      helped.team().ForEach(13, [&](int part, int) { ++before[part]; });
      helped.team().ForEach(13, [&](int part, int) { after[part] += before[12 - part]; });
      for (int part = 0; part < 13; ++part) {
        ASSERT_EQ(before[part], round) << members;
        ASSERT_EQ(after[part], round * (round + 1) / 2) << members;
      }
    }
  }
}

TEST(TeamTest, HelpOfATeamThatIsNotOpenReturnsAtOnce) {
  const auto owner = std::make_unique<Team>(/*member=*/0);  // see HelpedTeam::team_
  Team& team = *owner;
  const std::atomic<bool> never{false};
  team.Help(1, never);
  team.Open(2);
  team.Close();
  team.Help(1, never);
  EXPECT_EQ(team.size(), 1);
}

TEST(TeamTest, HelperWhoIsCalledAwayLeavesBetweenTwoPartsAndTheLeaderGoesOn) {
  const auto owner = std::make_unique<Team>(/*member=*/0);  // see HelpedTeam::team_
  Team& team = *owner;
  std::atomic<bool> leave{false};
  team.Open(2);
  std::thread helper([&] { team.Help(1, leave); });
  Meeting meeting(2);
  team.ForEach(2, [&](int, int member) {
    meeting.Join();
    if (member == 1) leave = true;
  });
  helper.join();  // although the team is open
  team.ForEach(5, [](int, int member) { EXPECT_EQ(member, 0); });
  EXPECT_EQ(team.helped(), 1);
}

TEST(TeamTest, HelperMayComeBack) {
  const auto owner = std::make_unique<Team>(/*member=*/0);  // see HelpedTeam::team_
  Team& team = *owner;
  const std::atomic<bool> never{false};
  for (int round = 0; round < 50; ++round) {
    team.Open(2);
    std::thread helper([&] { team.Help(1, never); });
    Meeting meeting(2);
    team.ForEach(2, [&](int, int) { meeting.Join(); });
    EXPECT_EQ(team.helped(), 1);
    team.Close();
    helper.join();
  }
}

TEST(TeamTest, WhatAPartThrowsReachesTheLeaderOnceAllPartsAreDone) {
  HelpedTeam helped(2);
  for (int thrower : {0, 1}) {
    Meeting meeting(2);
    std::atomic<int> done{0};
    const auto run = [&] {
      helped.team().ForEach(6, [&](int part, int member) {
        if (part < 2) meeting.Join();
        ++done;
        if (part < 2 && member == thrower) throw std::runtime_error(std::to_string(member));
      });
    };
    try {
      run();
      FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(error.what(), std::to_string(thrower));
    }
    EXPECT_EQ(done, 6);
  }
  int parts = 0;
  Team& team = helped.team();
  team.ForEach(1, [&](int, int) { ++parts; });
  EXPECT_EQ(parts, 1) << "and is forgotten then";
}

thread_local int t_entered = 0;
std::atomic<int> g_left{0};

TEST(TeamTest, HooksAreCalledByHelpersOnceAroundTheirParts) {
  const auto owner = std::make_unique<Team>(/*member=*/0);  // see HelpedTeam::team_
  Team& team = *owner;
  g_left = 0;
  team.Open(2);
  team.set_hooks({[] { ++t_entered; }, [] { ++g_left; }});
  const std::atomic<bool> never{false};
  std::thread helper([&] { team.Help(1, never); });
  for (int round = 0; round < 3; ++round) {
    Meeting meeting(2);
    team.ForEach(2, [&](int, int member) {
      meeting.Join();
      EXPECT_EQ(t_entered, member);
    });
    EXPECT_EQ(g_left, 0);
  }
  team.Close();
  helper.join();
  EXPECT_EQ(g_left, 1);
}

}  // namespace
}  // namespace contexture
